-- Migration: Create order journeys
-- Author: pgcharter
-- Date: 2026-11-22
-- Description: A read model: where each order is on its way, made from the events of orders

CREATE TABLE sales.order_journeys (
    order_journey_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    order_number VARCHAR(50) NOT NULL,
    order_status sales.order_status NOT NULL,
    total_amount NUMERIC(14, 2) NOT NULL,
    placed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    paid_at TIMESTAMP WITH TIME ZONE,
    shipped_at TIMESTAMP WITH TIME ZONE,
    event_count INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_order_journeys_tenant_id FOREIGN KEY (tenant_id)
        REFERENCES identity.tenants (tenant_id) ON DELETE RESTRICT,
    CONSTRAINT chk_order_journeys_total_amount_not_negative CHECK (total_amount >= 0),
    CONSTRAINT chk_order_journeys_event_count_positive CHECK (event_count > 0)
);

CREATE INDEX idx_order_journeys_tenant_id_placed_at ON sales.order_journeys (tenant_id, placed_at DESC);

COMMENT ON TABLE sales.order_journeys IS 'Where each order is on its way; made from events, and can be made again';
COMMENT ON COLUMN sales.order_journeys.order_journey_id IS 'Key of the order, the aggregate of the events';
COMMENT ON COLUMN sales.order_journeys.tenant_id IS 'Tenant that the order was placed with';
COMMENT ON COLUMN sales.order_journeys.order_number IS 'Number that the customer knows';
COMMENT ON COLUMN sales.order_journeys.order_status IS 'Status that the last event means';
COMMENT ON COLUMN sales.order_journeys.total_amount IS 'What the customer pays';
COMMENT ON COLUMN sales.order_journeys.placed_at IS 'Time of the first event';
COMMENT ON COLUMN sales.order_journeys.paid_at IS 'When the payment was captured';
COMMENT ON COLUMN sales.order_journeys.shipped_at IS 'When the parcel left';
COMMENT ON COLUMN sales.order_journeys.event_count IS 'Events so far';
COMMENT ON COLUMN sales.order_journeys.created_at IS 'When the row was made';
COMMENT ON COLUMN sales.order_journeys.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_order_journeys_set_updated_at
    BEFORE UPDATE ON sales.order_journeys
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE sales.order_journeys ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales.order_journeys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales.order_journeys
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
