CREATE TABLE articles (
    article_id uuid PRIMARY KEY,
    body text NOT NULL,
    language regconfig NOT NULL DEFAULT 'english'
);
