CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL
);
CREATE INDEX idx_orders_user_id ON orders USING hash (user_id);
