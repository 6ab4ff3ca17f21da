-- file: 001_orders.sql
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE FUNCTION draw() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT (random() * 10)::integer';
CREATE TABLE orders (id bigint PRIMARY KEY);
-- file: 002_columns.sql
ALTER TABLE orders ADD COLUMN amount positive;
ALTER TABLE orders ADD COLUMN lot integer DEFAULT draw();
