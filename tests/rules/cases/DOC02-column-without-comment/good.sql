CREATE TABLE orders (id bigint PRIMARY KEY);
COMMENT ON COLUMN orders.id IS 'Drawn when the basket is opened.';
CREATE TABLE special_orders () INHERITS (orders);
