-- file: 001_orders.sql
CREATE TABLE orders (id bigint NOT NULL, code text NOT NULL);
CREATE UNIQUE INDEX orders_pkey ON orders (id);
CREATE UNIQUE INDEX orders_code_key ON orders (code);
-- file: 002_key.sql
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey;
ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE USING INDEX orders_code_key;
