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
