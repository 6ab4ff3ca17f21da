CREATE TABLE orders (
    order_id serial PRIMARY KEY
);
ALTER TABLE orders ALTER COLUMN order_id TYPE bigint;
