CREATE TABLE orders (id bigint PRIMARY KEY, order_date date);
COMMENT ON TABLE orders IS 'Orders of the web shop.';
COMMENT ON COLUMN orders.order_date IS 'Order date in UTC';
COMMENT ON COLUMN orders.id IS 'Заказ';
