-- Migration: Create orders
-- Description: What users buy and sell

-- Up Migration
BEGIN;

CREATE TABLE orders (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    order_number BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME seq_orders_order_number),
    user_id UUID NOT NULL,
    instrument_id UUID NOT NULL,
    side TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'open',
    quantity INTEGER NOT NULL,
    price NUMERIC(19, 4) NOT NULL,
    total NUMERIC(19, 4) NOT NULL GENERATED ALWAYS AS (quantity * price) STORED,
    executed_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_orders_order_number UNIQUE (order_number),
    CONSTRAINT fk_orders_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_orders_instruments FOREIGN KEY (instrument_id) REFERENCES instruments (id) ON DELETE RESTRICT,
    CONSTRAINT ck_orders_side CHECK (side IN ('buy', 'sell')),
    CONSTRAINT ck_orders_status CHECK (status IN ('open', 'executed', 'cancelled')),
    CONSTRAINT ck_orders_quantity_positive CHECK (quantity > 0),
    CONSTRAINT ck_orders_price_positive CHECK (price > 0),
    CONSTRAINT ck_orders_executed_at_status CHECK ((executed_at IS NOT NULL) = (status = 'executed'))
);

CREATE INDEX idx_orders_user_id_created_at ON orders (user_id, created_at);
CREATE INDEX idx_orders_instrument_id ON orders (instrument_id);
-- Few orders are open at any time: the index holds only these.
CREATE INDEX idx_orders_created_at ON orders (created_at) WHERE status = 'open';

COMMENT ON TABLE orders IS 'Orders to buy or sell an instrument at a price; they outlast the account that gave them';
COMMENT ON COLUMN orders.order_number IS 'Number that people read to each other; the key is id';
COMMENT ON COLUMN orders.quantity IS 'Number of pieces';
COMMENT ON COLUMN orders.price IS 'Limit for one piece, in the currency of the instrument';
COMMENT ON COLUMN orders.total IS 'Quantity times price; PostgreSQL keeps it';
COMMENT ON COLUMN orders.executed_at IS 'When it was carried out; null while it is not';

GRANT SELECT ON orders TO stock_readonly;
GRANT SELECT, INSERT ON orders TO stock_application;
GRANT UPDATE (status, executed_at) ON orders TO stock_application;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE orders;

COMMIT;
