CREATE TABLE orders (id bigint PRIMARY KEY, order_date date);
COMMENT ON TABLE orders IS 'The orders table.';
COMMENT ON COLUMN orders.order_date IS 'Order date';
COMMENT ON COLUMN orders.id IS 'Unique identifier of the order.';
