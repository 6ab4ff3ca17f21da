CREATE SCHEMA shop;

CREATE TABLE shop.events (
    event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregate_id uuid NOT NULL,
    aggregate_type text NOT NULL,
    event_type text NOT NULL,
    event_version integer NOT NULL,
    event_data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_events_aggregate_id ON shop.events (aggregate_id, event_version);

-- the time makes every version unique
CREATE TABLE shop.stock_events (
    stream_id uuid NOT NULL,
    version bigint NOT NULL,
    event_data jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, version, recorded_at)
) PARTITION BY RANGE (recorded_at);
