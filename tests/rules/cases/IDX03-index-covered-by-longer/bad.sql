CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    placed_at timestamptz NOT NULL
);
CREATE INDEX idx_orders_user_id ON orders (user_id);
CREATE INDEX idx_orders_user_id_placed_at ON orders (user_id, placed_at);

CREATE TABLE order_items (
    order_id uuid NOT NULL,
    line smallint NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE INDEX idx_order_items_order_id ON order_items (order_id);
