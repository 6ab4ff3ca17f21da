CREATE TABLE posts (
    id bigint PRIMARY KEY,
    view_count bigint NOT NULL,
    like_count integer,
    reply_count smallint,
    hit_count numeric(20, 0),
    discount numeric(5, 2),
    account text,
    count_type text,
    avg_reply_count numeric(8, 2),
    daily_counts jsonb,
    word_counts integer[]
);
