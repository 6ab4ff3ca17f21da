-- file: 001_orders.sql
CREATE DOMAIN code AS text;
CREATE FUNCTION fixed() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TABLE orders (id bigint PRIMARY KEY);
-- file: 002_columns.sql
ALTER TABLE orders ADD COLUMN c code DEFAULT 'x';
ALTER TABLE orders ADD COLUMN lot integer DEFAULT fixed();
ALTER TABLE orders ADD COLUMN at timestamptz NOT NULL DEFAULT now();
