CREATE TABLE events (
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, created_at)
) PARTITION BY RANGE (created_at);

-- partitioned by its own key
CREATE TABLE carts (
    cart_id uuid PRIMARY KEY,
    contents jsonb NOT NULL
) PARTITION BY HASH (cart_id);

-- a single partition may have a shorter key of its own
CREATE TABLE events_2026 PARTITION OF events (UNIQUE (event_id)) FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

-- dropped and made anew without partitions: the key is the new table's
CREATE TABLE logins (
    login_id bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (login_id, at)
) PARTITION BY RANGE (at);
DROP TABLE logins;
CREATE TABLE logins (
    login_id bigint NOT NULL,
    at timestamptz NOT NULL
);
ALTER TABLE logins ADD PRIMARY KEY (login_id);

-- the same name in another schema
CREATE TABLE audit.visits (visit_id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE shop.visits (visit_id bigint NOT NULL, at date NOT NULL);
ALTER TABLE shop.visits ADD UNIQUE (visit_id);
