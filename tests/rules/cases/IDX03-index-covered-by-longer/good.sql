CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    status text NOT NULL,
    number text NOT NULL,
    placed_at timestamptz NOT NULL
);
CREATE INDEX idx_orders_user_id_placed_at ON orders (user_id, placed_at);
-- not its beginning
CREATE INDEX idx_orders_placed_at ON orders (placed_at);
-- the longer one has open orders only
CREATE INDEX idx_orders_status ON orders (status);
CREATE INDEX idx_orders_status_placed_at ON orders (status, placed_at) WHERE status = 'open';
-- a rule, not a search
CREATE UNIQUE INDEX uq_orders_number ON orders (number);
CREATE INDEX idx_orders_number_user_id ON orders (number, user_id);
