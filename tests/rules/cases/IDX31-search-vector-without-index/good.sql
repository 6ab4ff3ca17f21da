CREATE TABLE articles (
    article_id uuid PRIMARY KEY,
    body text NOT NULL,
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED
);
CREATE INDEX idx_articles_search ON articles USING gin (search);

-- indexed where the rows are
CREATE TABLE letters (letter_id bigint NOT NULL, sent_on date NOT NULL, words tsvector, PRIMARY KEY (letter_id, sent_on)) PARTITION BY RANGE (sent_on);
CREATE TABLE letters_2026 PARTITION OF letters FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX letters_2026_words ON letters_2026 USING gin (words);
