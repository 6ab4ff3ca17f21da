CREATE TABLE posts (
    post_id uuid PRIMARY KEY,
    tag_ids text NOT NULL DEFAULT ''
);
