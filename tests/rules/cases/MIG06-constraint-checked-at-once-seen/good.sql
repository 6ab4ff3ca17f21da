-- file: 001_tables.sql
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, total integer);
ALTER TABLE orders ADD CONSTRAINT orders_total_check CHECK (total >= 0);
-- file: 002_constraints.sql
ALTER TABLE orders ADD COLUMN customer_id bigint REFERENCES customers;
ALTER TABLE orders ADD CONSTRAINT orders_id_check CHECK (id > 0) NOT VALID;
