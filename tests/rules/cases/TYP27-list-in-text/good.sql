CREATE TABLE tags (
    tag_id uuid PRIMARY KEY
);
CREATE TABLE posts (
    post_id uuid PRIMARY KEY,
    seen_ids bigint[] NOT NULL DEFAULT '{}',
    keywords text
);
CREATE TABLE post_tags (
    post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
    tag_id uuid NOT NULL REFERENCES tags ON DELETE CASCADE,
    PRIMARY KEY (post_id, tag_id)
);

-- everything comes in as text
CREATE SCHEMA staging;
CREATE TABLE staging.rows_read (product_ids text);
CREATE TABLE order_imports (product_ids text);
