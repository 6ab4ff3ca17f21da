CREATE TABLE articles (
    article_id uuid PRIMARY KEY,
    body text NOT NULL,
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED
);
CREATE INDEX idx_articles_search ON articles USING gin (search);
