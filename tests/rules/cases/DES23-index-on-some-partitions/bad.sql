CREATE TABLE events (
    created_at timestamptz NOT NULL,
    aggregate_id uuid NOT NULL
) PARTITION BY RANGE (created_at);
CREATE TABLE events_2025_01 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE events_2025_02 PARTITION OF events FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');
CREATE INDEX idx_events_2025_01_aggregate_id ON events_2025_01 (aggregate_id);
CREATE INDEX idx_events_2025_02_aggregate_id ON events_2025_02 (aggregate_id);
