-- Migration: Create events
-- Description: What readers do, partitioned by month

-- Up Migration
BEGIN;

CREATE TABLE events (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    post_id UUID NOT NULL,
    user_id UUID,
    event_type VARCHAR(20) NOT NULL,
    event_data JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    -- The key of a partitioned table holds the column it is partitioned by.
    PRIMARY KEY (id, created_at),
    CONSTRAINT fk_events_post_id FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE CASCADE,
    CONSTRAINT fk_events_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT chk_events_event_type CHECK (event_type IN ('viewed', 'liked', 'shared')),
    CONSTRAINT chk_events_event_data_object CHECK (jsonb_typeof(event_data) = 'object')
) PARTITION BY RANGE (created_at);

CREATE INDEX idx_events_post_id_created_at ON events (post_id, created_at);
CREATE INDEX idx_events_user_id ON events (user_id) WHERE user_id IS NOT NULL;

COMMENT ON TABLE events IS 'What readers did with posts, append only, partitioned by month';
COMMENT ON COLUMN events.user_id IS 'Reader, where signed in';
COMMENT ON COLUMN events.event_data IS 'Circumstances as a JSON object: where the reader came from, for how long';
COMMENT ON COLUMN events.created_at IS 'When it happened; decides the partition';

REVOKE UPDATE, DELETE ON events FROM blog_writer;

SELECT create_month_partitions('events', '2026-01-01', current_date + 120);

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE events;

COMMIT;
