-- file: 001_orders.sql
CREATE TABLE orders (id bigint, code text NOT NULL);
CREATE UNIQUE INDEX orders_pkey ON orders (id);
-- file: 002_key.sql
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey;
