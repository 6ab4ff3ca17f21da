-- file: 001_orders.sql
CREATE TABLE orders (id integer PRIMARY KEY, code varchar(10), price numeric(10,2), data jsonb);
-- file: 002_types.sql
ALTER TABLE orders ALTER id TYPE bigint;
ALTER TABLE orders ALTER code TYPE varchar(5);
ALTER TABLE orders ALTER price TYPE numeric(10,4), ALTER data TYPE json USING data::json;
