CREATE SCHEMA shop;

CREATE TABLE shop.events (
    event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregate_id uuid NOT NULL,
    event_type text NOT NULL,
    event_version integer NOT NULL,
    event_data jsonb NOT NULL,
    CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, event_version)
);

-- the key itself, counted apart for each tenant
CREATE TABLE shop.tenant_events (
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    version bigint NOT NULL,
    event_data jsonb NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, version)
);

-- a unique index made afterwards
CREATE TABLE shop.journal (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id uuid NOT NULL,
    stream_version integer NOT NULL,
    body jsonb NOT NULL
);
CREATE UNIQUE INDEX journal_stream ON shop.journal (stream_id, stream_version);

-- `version` of a document is no event
CREATE TABLE shop.snapshots (
    aggregate_id uuid PRIMARY KEY,
    version integer NOT NULL,
    state jsonb NOT NULL
);

-- an outbox without versions
CREATE TABLE shop.outbox_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregate_id uuid NOT NULL,
    payload jsonb NOT NULL
);

-- partitioned by time: each event refers to its claim of a version
CREATE TABLE shop.event_versions (
    aggregate_id uuid NOT NULL,
    event_version integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (aggregate_id, event_version),
    UNIQUE (aggregate_id, event_version, created_at)
);
CREATE TABLE shop.monthly_events (
    aggregate_id uuid NOT NULL,
    event_version integer NOT NULL,
    event_data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (aggregate_id, event_version, created_at),
    FOREIGN KEY (aggregate_id, event_version, created_at) REFERENCES shop.event_versions (aggregate_id, event_version, created_at)
) PARTITION BY RANGE (created_at);

-- the latest state of each: one row, whatever its version
CREATE TABLE event_streams (
    stream_id uuid PRIMARY KEY,
    version bigint NOT NULL
);
CREATE TABLE order_projection (
    aggregate_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    event_type text NOT NULL
);

-- events of another kind
CREATE TABLE calendar_events (calendar_event_id bigint PRIMARY KEY, stream_name text, revision integer NOT NULL, title text NOT NULL);
