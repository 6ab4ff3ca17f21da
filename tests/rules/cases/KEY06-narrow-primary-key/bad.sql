CREATE TABLE page_hits (
    page_hit_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hit_at timestamptz NOT NULL
);
CREATE TABLE order_events (
    id smallserial PRIMARY KEY,
    note text NOT NULL
);
