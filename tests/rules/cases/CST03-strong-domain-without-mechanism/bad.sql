CREATE TABLE orders (id bigint PRIMARY KEY, day date NOT NULL);
CREATE UNLOGGED TABLE order_imports (id bigint PRIMARY KEY, order_id bigint REFERENCES orders);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL);
ALTER TABLE order_items ADD FOREIGN KEY (order_id) REFERENCES orders NOT VALID;
CREATE TABLE order_notes (id bigint PRIMARY KEY, order_number text NOT NULL);
CREATE MATERIALIZED VIEW order_totals AS SELECT day, count(*) AS orders FROM orders GROUP BY day;
CREATE TABLE stock_levels (product_id bigint PRIMARY KEY, available int NOT NULL, version text);
CREATE TABLE stock_places (place_id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE accounts (id bigint PRIMARY KEY);
CREATE TABLE rooms (id bigint PRIMARY KEY);
-- a version is not what this domain was promised
CREATE TABLE reservations (id bigint PRIMARY KEY, room text NOT NULL, version int NOT NULL);
