-- Migration: Create sales tables
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Orders, order items and payments

CREATE TYPE sales.order_status AS ENUM (
    'draft', 'pending_payment', 'paid', 'processing', 'shipped', 'delivered', 'cancelled', 'refunded'
);
COMMENT ON TYPE sales.order_status IS 'Life of an order, from draft to delivered, cancelled or refunded';
CREATE TYPE sales.payment_method AS ENUM (
    'credit_card', 'debit_card', 'paypal', 'apple_pay', 'google_pay', 'bank_transfer'
);
COMMENT ON TYPE sales.payment_method IS 'How a payment was made';
CREATE TYPE sales.payment_status AS ENUM ('pending', 'captured', 'failed', 'refunded');
COMMENT ON TYPE sales.payment_status IS 'Life of a payment';

CREATE TABLE sales.orders (
    order_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    order_number VARCHAR(32) NOT NULL,
    order_status sales.order_status NOT NULL DEFAULT 'draft',
    currency_code VARCHAR(3) NOT NULL,
    items_amount NUMERIC(12, 2) NOT NULL,
    shipping_amount NUMERIC(8, 2) NOT NULL DEFAULT 0,
    total_amount NUMERIC(12, 2) NOT NULL GENERATED ALWAYS AS (items_amount + shipping_amount) STORED,
    shipping_city VARCHAR(100) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_orders_tenant_id_order_id UNIQUE (tenant_id, order_id),
    CONSTRAINT uq_orders_tenant_id_order_number UNIQUE (tenant_id, order_number),
    CONSTRAINT fk_orders_user_id FOREIGN KEY (tenant_id, user_id)
        REFERENCES identity.users (tenant_id, user_id) ON DELETE RESTRICT,
    CONSTRAINT chk_orders_amounts_not_negative CHECK (items_amount >= 0 AND shipping_amount >= 0),
    CONSTRAINT chk_orders_currency_code_format CHECK (currency_code ~ '^[A-Z]{3}$')
);

CREATE INDEX idx_orders_tenant_id_user_id_created_at ON sales.orders (tenant_id, user_id, created_at DESC);
CREATE INDEX idx_orders_tenant_id_created_at ON sales.orders (tenant_id, created_at DESC) INCLUDE (order_status, total_amount);
CREATE INDEX idx_orders_tenant_id_open ON sales.orders (tenant_id, created_at)
    WHERE order_status IN ('pending_payment', 'paid', 'processing');

COMMENT ON TABLE sales.orders IS 'Orders of customers';
COMMENT ON COLUMN sales.orders.order_id IS 'Key, and the aggregate_id of its events; customers are told order_number instead';
COMMENT ON COLUMN sales.orders.tenant_id IS 'Tenant the order was placed with';
COMMENT ON COLUMN sales.orders.user_id IS 'Customer who placed it';
COMMENT ON COLUMN sales.orders.order_number IS 'Number printed on invoices, unique in the tenant';
COMMENT ON COLUMN sales.orders.order_status IS 'Where the order stands';
COMMENT ON COLUMN sales.orders.currency_code IS 'ISO 4217 code of all amounts of the order';
COMMENT ON COLUMN sales.orders.items_amount IS 'Sum of the line amounts of its items';
COMMENT ON COLUMN sales.orders.shipping_amount IS 'Cost of shipping';
COMMENT ON COLUMN sales.orders.total_amount IS 'What the customer pays: items and shipping';
COMMENT ON COLUMN sales.orders.shipping_city IS 'City the order goes to, as it was when ordered';
COMMENT ON COLUMN sales.orders.created_at IS 'When the order was placed';
COMMENT ON COLUMN sales.orders.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_orders_set_updated_at
    BEFORE UPDATE ON sales.orders
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales.orders FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales.orders
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE sales.order_items (
    order_item_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    order_id UUID NOT NULL,
    line_number INTEGER NOT NULL,
    product_id UUID NOT NULL,
    quantity INTEGER NOT NULL,
    unit_price_amount NUMERIC(10, 2) NOT NULL,
    line_amount NUMERIC(12, 2) NOT NULL GENERATED ALWAYS AS (quantity * unit_price_amount) STORED,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_order_items_tenant_id_order_id_line_number UNIQUE (tenant_id, order_id, line_number),
    CONSTRAINT fk_order_items_order_id FOREIGN KEY (tenant_id, order_id)
        REFERENCES sales.orders (tenant_id, order_id) ON DELETE CASCADE,
    CONSTRAINT fk_order_items_product_id FOREIGN KEY (tenant_id, product_id)
        REFERENCES catalog.products (tenant_id, product_id) ON DELETE RESTRICT,
    CONSTRAINT chk_order_items_line_number_positive CHECK (line_number > 0),
    CONSTRAINT chk_order_items_quantity_positive CHECK (quantity > 0),
    CONSTRAINT chk_order_items_unit_price_amount_not_negative CHECK (unit_price_amount >= 0)
);

CREATE INDEX idx_order_items_tenant_id_product_id ON sales.order_items (tenant_id, product_id);

COMMENT ON TABLE sales.order_items IS 'Lines of orders';
COMMENT ON COLUMN sales.order_items.order_item_id IS 'Key of the line, for returns and complaints about a part of an order';
COMMENT ON COLUMN sales.order_items.tenant_id IS 'Whose order it is; part of both foreign keys, so that no line can reach into another marketplace';
COMMENT ON COLUMN sales.order_items.order_id IS 'Order the line belongs to';
COMMENT ON COLUMN sales.order_items.line_number IS 'Position in the order, from 1';
COMMENT ON COLUMN sales.order_items.product_id IS 'Product that was ordered';
COMMENT ON COLUMN sales.order_items.quantity IS 'Units ordered';
COMMENT ON COLUMN sales.order_items.unit_price_amount IS 'Price of one unit when it was ordered';
COMMENT ON COLUMN sales.order_items.line_amount IS 'Quantity times unit price';
COMMENT ON COLUMN sales.order_items.created_at IS 'When the line was added';
COMMENT ON COLUMN sales.order_items.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_order_items_set_updated_at
    BEFORE UPDATE ON sales.order_items
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE sales.order_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales.order_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales.order_items
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE sales.payments (
    payment_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    order_id UUID NOT NULL,
    payment_method sales.payment_method NOT NULL,
    payment_status sales.payment_status NOT NULL DEFAULT 'pending',
    amount NUMERIC(12, 2) NOT NULL,
    currency_code VARCHAR(3) NOT NULL,
    provider_reference VARCHAR(100) NOT NULL,
    captured_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_payments_tenant_id_provider_reference UNIQUE (tenant_id, provider_reference),
    CONSTRAINT fk_payments_order_id FOREIGN KEY (tenant_id, order_id)
        REFERENCES sales.orders (tenant_id, order_id) ON DELETE RESTRICT,
    CONSTRAINT chk_payments_amount_positive CHECK (amount > 0),
    CONSTRAINT chk_payments_currency_code_format CHECK (currency_code ~ '^[A-Z]{3}$'),
    CONSTRAINT chk_payments_captured_at_known CHECK (payment_status NOT IN ('captured', 'refunded') OR captured_at IS NOT NULL)
);

CREATE INDEX idx_payments_tenant_id_order_id_created_at ON sales.payments (tenant_id, order_id, created_at);

COMMENT ON TABLE sales.payments IS 'Attempts to pay for orders';
COMMENT ON COLUMN sales.payments.payment_id IS 'Key, made here; the provider knows it by provider_reference';
COMMENT ON COLUMN sales.payments.tenant_id IS 'Tenant of the order';
COMMENT ON COLUMN sales.payments.order_id IS 'Order that is paid for';
COMMENT ON COLUMN sales.payments.payment_method IS 'How the customer pays';
COMMENT ON COLUMN sales.payments.payment_status IS 'Where the payment stands';
COMMENT ON COLUMN sales.payments.amount IS 'Sum asked for or taken, in the currency beside it; refunds keep it and change the status';
COMMENT ON COLUMN sales.payments.currency_code IS 'ISO 4217 code of the amount';
COMMENT ON COLUMN sales.payments.provider_reference IS 'Reference of the payment provider; makes a repeated notification harmless';
COMMENT ON COLUMN sales.payments.captured_at IS 'When the money was taken';
COMMENT ON COLUMN sales.payments.created_at IS 'When the payment was begun';
COMMENT ON COLUMN sales.payments.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_payments_set_updated_at
    BEFORE UPDATE ON sales.payments
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE sales.payments ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales.payments FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales.payments
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

-- Tenants differ in size by an order of magnitude, and status depends on age: the planner has to be told.
CREATE STATISTICS sales.stx_orders_tenant_id_order_status (dependencies, mcv) ON tenant_id, order_status FROM sales.orders;
COMMENT ON STATISTICS sales.stx_orders_tenant_id_order_status IS 'Share of each status within each tenant';
