CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    number text NOT NULL UNIQUE,
    CONSTRAINT uq_orders_number UNIQUE (number)
);
CREATE INDEX idx_orders_user_id ON orders (user_id);
CREATE INDEX ix_orders_user ON orders (user_id DESC);
