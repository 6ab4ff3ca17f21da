CREATE TABLE orders (id bigint PRIMARY KEY);
-- in two domains of the same level
CREATE TABLE order_addresses (id bigint PRIMARY KEY);
CREATE TABLE shipments (id bigint PRIMARY KEY);
CREATE TABLE price_history (id bigint PRIMARY KEY);
