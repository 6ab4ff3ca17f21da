CREATE TABLE articles (
    article_id uuid PRIMARY KEY,
    body text NOT NULL,
    language text NOT NULL DEFAULT 'english'
);
-- these numbers are kept
CREATE TABLE watched_tables (
    relation regclass PRIMARY KEY,
    row_type regtype,
    watcher regrole
);
