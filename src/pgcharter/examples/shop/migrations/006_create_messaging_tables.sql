-- Migration: Create messaging tables
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Event store partitioned by month with one version per aggregate, and sagas

-- An event store must never hold two events with the same version of one aggregate. A unique key of a partitioned table has to contain
-- the partition column, so on a table partitioned by month it could only promise that within one instant. Each version is therefore
-- claimed once in event_versions, and an event must point at its claim with all of its columns: two events of one version would have to
-- share tenant, version and time, and then the unique key of events refuses the second.
CREATE TABLE messaging.event_versions (
    aggregate_id UUID NOT NULL,
    event_version INTEGER NOT NULL,
    tenant_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregate_id, event_version),
    CONSTRAINT uq_event_versions_claim UNIQUE (tenant_id, aggregate_id, event_version, created_at),
    CONSTRAINT fk_event_versions_tenant_id FOREIGN KEY (tenant_id)
        REFERENCES identity.tenants (tenant_id) ON DELETE RESTRICT,
    CONSTRAINT chk_event_versions_event_version_positive CHECK (event_version > 0)
);

COMMENT ON TABLE messaging.event_versions IS 'Versions of aggregates that are taken: makes (aggregate_id, event_version) unique across the months';
COMMENT ON COLUMN messaging.event_versions.aggregate_id IS 'Aggregate whose version is taken';
COMMENT ON COLUMN messaging.event_versions.event_version IS 'Version that is taken, from 1 without holes';
COMMENT ON COLUMN messaging.event_versions.tenant_id IS 'Tenant of the aggregate';
COMMENT ON COLUMN messaging.event_versions.created_at IS 'When the event happened; equal to created_at of the event';

ALTER TABLE messaging.event_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE messaging.event_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON messaging.event_versions
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE messaging.events (
    event_id UUID NOT NULL DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(100) NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    event_version INTEGER NOT NULL,
    event_data JSONB NOT NULL,
    metadata JSONB,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, created_at),
    CONSTRAINT uq_events_claim UNIQUE (tenant_id, aggregate_id, event_version, created_at),
    CONSTRAINT fk_events_claim FOREIGN KEY (tenant_id, aggregate_id, event_version, created_at)
        REFERENCES messaging.event_versions (tenant_id, aggregate_id, event_version, created_at) ON DELETE RESTRICT,
    CONSTRAINT chk_events_event_version_positive CHECK (event_version > 0),
    CONSTRAINT chk_events_event_data_object CHECK (jsonb_typeof(event_data) = 'object')
) PARTITION BY RANGE (created_at);

CREATE INDEX idx_events_tenant_id_aggregate_type_created_at ON messaging.events (tenant_id, aggregate_type, created_at);

COMMENT ON TABLE messaging.events IS 'Event store: what happened to each aggregate, append only, partitioned by month';
COMMENT ON COLUMN messaging.events.event_id IS 'Key by which consumers notice that they have seen an event before';
COMMENT ON COLUMN messaging.events.tenant_id IS 'Tenant of the aggregate';
COMMENT ON COLUMN messaging.events.aggregate_id IS 'Identifier of the aggregate the event belongs to';
COMMENT ON COLUMN messaging.events.aggregate_type IS 'Type of the aggregate: Order, Product';
COMMENT ON COLUMN messaging.events.event_type IS 'What happened: OrderPlaced, PaymentCaptured';
COMMENT ON COLUMN messaging.events.event_version IS 'Version of the aggregate after this event, from 1 without holes';
COMMENT ON COLUMN messaging.events.event_data IS 'Content of the event, a JSON object';
COMMENT ON COLUMN messaging.events.metadata IS 'Circumstances: correlation, cause, actor';
COMMENT ON COLUMN messaging.events.created_at IS 'When it happened; decides the partition';

ALTER TABLE messaging.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE messaging.events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON messaging.events
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

SELECT platform.create_month_partitions('messaging.events', '2026-01-01', 24);

CREATE FUNCTION messaging.append_event(
    p_tenant_id uuid,
    p_aggregate_id uuid,
    p_aggregate_type varchar,
    p_event_type varchar,
    p_event_version integer,
    p_event_data jsonb,
    p_metadata jsonb DEFAULT NULL
) RETURNS uuid
LANGUAGE sql
SET search_path = messaging, pg_temp
AS $$
    INSERT INTO messaging.event_versions (aggregate_id, event_version, tenant_id, created_at)
    VALUES (p_aggregate_id, p_event_version, p_tenant_id, now());
    INSERT INTO messaging.events
        (tenant_id, aggregate_id, aggregate_type, event_type, event_version, event_data, metadata, created_at)
    VALUES (p_tenant_id, p_aggregate_id, p_aggregate_type, p_event_type, p_event_version, p_event_data, p_metadata, now())
    RETURNING event_id
$$;

COMMENT ON FUNCTION messaging.append_event(uuid, uuid, varchar, varchar, integer, jsonb, jsonb) IS
    'Appends one event; fails with unique_violation when another writer took the version first. Runs as the caller';

CREATE TYPE messaging.saga_status AS ENUM ('started', 'completed', 'compensating', 'failed');
COMMENT ON TYPE messaging.saga_status IS 'Life of a saga';
CREATE TYPE messaging.saga_step_status AS ENUM ('pending', 'running', 'completed', 'failed', 'compensated');
COMMENT ON TYPE messaging.saga_step_status IS 'Life of one step of a saga';

CREATE TABLE messaging.saga_instances (
    saga_instance_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    saga_type VARCHAR(100) NOT NULL,
    saga_status messaging.saga_status NOT NULL DEFAULT 'started',
    current_step INTEGER NOT NULL DEFAULT 0,
    saga_data JSONB NOT NULL,
    compensation_data JSONB,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_saga_instances_tenant_id_saga_instance_id UNIQUE (tenant_id, saga_instance_id),
    CONSTRAINT fk_saga_instances_tenant_id FOREIGN KEY (tenant_id)
        REFERENCES identity.tenants (tenant_id) ON DELETE RESTRICT,
    CONSTRAINT chk_saga_instances_current_step_not_negative CHECK (current_step >= 0)
);

CREATE INDEX idx_saga_instances_unfinished ON messaging.saga_instances (tenant_id, created_at)
    WHERE saga_status IN ('started', 'compensating');

COMMENT ON TABLE messaging.saga_instances IS 'Long-running business transactions across services';
COMMENT ON COLUMN messaging.saga_instances.saga_instance_id IS 'Key that the services taking part pass on to each other';
COMMENT ON COLUMN messaging.saga_instances.tenant_id IS 'Tenant the saga works for';
COMMENT ON COLUMN messaging.saga_instances.saga_type IS 'Name of the saga definition: OrderFulfilment';
COMMENT ON COLUMN messaging.saga_instances.saga_status IS 'Where the saga stands';
COMMENT ON COLUMN messaging.saga_instances.current_step IS 'Number of the last step that was begun; 0 before the first';
COMMENT ON COLUMN messaging.saga_instances.saga_data IS 'State that the steps share';
COMMENT ON COLUMN messaging.saga_instances.compensation_data IS 'What compensation needs to know';
COMMENT ON COLUMN messaging.saga_instances.created_at IS 'When the saga was started';
COMMENT ON COLUMN messaging.saga_instances.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_saga_instances_set_updated_at
    BEFORE UPDATE ON messaging.saga_instances
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE messaging.saga_instances ENABLE ROW LEVEL SECURITY;
ALTER TABLE messaging.saga_instances FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON messaging.saga_instances
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE messaging.saga_steps (
    saga_step_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    saga_instance_id UUID NOT NULL,
    step_number INTEGER NOT NULL,
    step_type VARCHAR(100) NOT NULL,
    saga_step_status messaging.saga_step_status NOT NULL DEFAULT 'pending',
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    error_message VARCHAR(2000),
    retry_count INTEGER NOT NULL DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_saga_steps_tenant_id_saga_instance_id_step_number UNIQUE (tenant_id, saga_instance_id, step_number),
    CONSTRAINT fk_saga_steps_saga_instance_id FOREIGN KEY (tenant_id, saga_instance_id)
        REFERENCES messaging.saga_instances (tenant_id, saga_instance_id) ON DELETE CASCADE,
    CONSTRAINT chk_saga_steps_step_number_positive CHECK (step_number > 0),
    CONSTRAINT chk_saga_steps_retry_count_not_negative CHECK (retry_count >= 0),
    CONSTRAINT chk_saga_steps_completed_after_start CHECK (completed_at >= started_at)
);

COMMENT ON TABLE messaging.saga_steps IS 'What a saga has to do, in order, and how far each part is';
COMMENT ON COLUMN messaging.saga_steps.saga_step_id IS 'Key, used as idempotency key by the service that runs the step';
COMMENT ON COLUMN messaging.saga_steps.tenant_id IS 'Tenant the saga works for';
COMMENT ON COLUMN messaging.saga_steps.saga_instance_id IS 'Saga the step belongs to';
COMMENT ON COLUMN messaging.saga_steps.step_number IS 'Position in the saga, from 1';
COMMENT ON COLUMN messaging.saga_steps.step_type IS 'What the step does: reserve_inventory, capture_payment, ship';
COMMENT ON COLUMN messaging.saga_steps.saga_step_status IS 'Where the step stands';
COMMENT ON COLUMN messaging.saga_steps.started_at IS 'When the step was begun';
COMMENT ON COLUMN messaging.saga_steps.completed_at IS 'When the step ended well';
COMMENT ON COLUMN messaging.saga_steps.error_message IS 'Why the last try failed';
COMMENT ON COLUMN messaging.saga_steps.retry_count IS 'How often the step was tried again';
COMMENT ON COLUMN messaging.saga_steps.created_at IS 'When the step was planned';
COMMENT ON COLUMN messaging.saga_steps.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_saga_steps_set_updated_at
    BEFORE UPDATE ON messaging.saga_steps
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE messaging.saga_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE messaging.saga_steps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON messaging.saga_steps
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

-- Events are only ever appended; the state of a saga moves.
GRANT UPDATE ON messaging.saga_instances, messaging.saga_steps TO shop_readwrite, shop_admin;
