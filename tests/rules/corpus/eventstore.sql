-- Event sourcing with snapshots and an outbox. House: schema es, bigint positions, uuid streams, text types.
CREATE SCHEMA es;

CREATE TABLE es.streams (
    stream_id uuid PRIMARY KEY,
    stream_type text NOT NULL,
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0)
);
CREATE TABLE es.events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id uuid NOT NULL REFERENCES es.streams,
    version bigint NOT NULL CHECK (version > 0),
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT events_stream_version UNIQUE (stream_id, version)
);
CREATE INDEX events_type_position ON es.events (event_type, position);
CREATE INDEX events_transaction ON es.events (transaction_id, position);

CREATE TABLE es.snapshots (
    stream_id uuid NOT NULL REFERENCES es.streams ON DELETE CASCADE,
    version bigint NOT NULL,
    state jsonb NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, version)
);

-- How far each projection has read.
CREATE TABLE es.checkpoints (
    projection text PRIMARY KEY,
    transaction_id xid8 NOT NULL DEFAULT '0',
    position bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL
);

-- A read model that carries the version it was made from: one row per stream, many versions seen.
CREATE TABLE es.order_summaries (
    stream_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    total numeric(12, 2) NOT NULL,
    event_type text NOT NULL
);

CREATE TABLE es.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_type text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX outbox_pending ON es.outbox (id) WHERE published_at IS NULL;

CREATE TABLE es.inbox (
    consumer text NOT NULL,
    message_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    PRIMARY KEY (consumer, message_id)
);

CREATE FUNCTION es.append(stream uuid, expected bigint, kinds text[], payloads jsonb[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    latest bigint;
BEGIN
    UPDATE es.streams SET version = version + cardinality(kinds)
    WHERE stream_id = stream AND version = expected RETURNING version INTO latest;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'stream % is not at version %', stream, expected USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO es.events (stream_id, version, event_type, payload)
    SELECT stream, expected + n, kind, payload
    FROM unnest(kinds, payloads) WITH ORDINALITY AS e (kind, payload, n);
    RETURN latest;
END $$;

CREATE FUNCTION es.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'events are never changed'; END $$;
CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON es.events FOR EACH ROW EXECUTE FUNCTION es.refuse();
CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON es.events FOR EACH STATEMENT EXECUTE FUNCTION es.refuse();
