CREATE TABLE orders (id bigint PRIMARY KEY, "Total" numeric);
COMMENT ON COLUMN orders.id IS 'Drawn when the basket is opened.';
