CREATE TABLE orders (
    id bigint PRIMARY KEY,
    placed_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    on_day date,
    history timestamptz[],
    open_during tstzrange
);
