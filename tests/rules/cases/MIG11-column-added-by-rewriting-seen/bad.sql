-- file: 001_orders.sql
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE FUNCTION draw() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT (random() * 10)::integer';
CREATE TABLE orders (id bigint PRIMARY KEY);
CREATE TABLE parts (id bigint, d date) PARTITION BY RANGE (d);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
-- file: 002_columns.sql
ALTER TABLE orders ADD COLUMN amount positive;
ALTER TABLE orders ADD COLUMN lot integer DEFAULT draw();
ALTER TABLE parts ADD COLUMN x uuid DEFAULT gen_random_uuid();
