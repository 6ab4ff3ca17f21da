-- file: 001_orders.sql
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint);
CREATE INDEX orders_customer_id_idx ON orders (customer_id);
-- file: 002_index.sql
CREATE INDEX CONCURRENTLY orders_id_idx ON orders (id, customer_id);
CREATE INDEX IF NOT EXISTS orders_customer_id_idx ON orders (customer_id);
DO $$ BEGIN CREATE TABLE made_here (id bigint); END $$;
CREATE INDEX ON made_here (id);
