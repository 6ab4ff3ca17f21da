CREATE TABLE posts (
    id bigint PRIMARY KEY,
    view_count numeric(10, 2) NOT NULL,
    "likeCount" double precision,
    reply_count text
);
