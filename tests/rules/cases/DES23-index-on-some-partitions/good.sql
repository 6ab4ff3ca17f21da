CREATE TABLE events (
    created_at timestamptz NOT NULL,
    aggregate_id uuid NOT NULL,
    kind text NOT NULL
) PARTITION BY RANGE (created_at);
CREATE INDEX idx_events_aggregate_id ON events (aggregate_id);
CREATE TABLE events_2025_01 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE events_2025_02 PARTITION OF events FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');
-- only the month that is being looked into
CREATE INDEX idx_events_2025_02_kind ON events_2025_02 (kind);
