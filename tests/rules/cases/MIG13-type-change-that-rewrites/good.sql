-- file: 001_orders.sql
CREATE TABLE orders (id integer PRIMARY KEY, code varchar(10), price numeric(10,2), at timestamp(3), i interval(3));
-- file: 002_types.sql
ALTER TABLE orders ALTER code TYPE varchar(20);
ALTER TABLE orders ALTER code TYPE text;
ALTER TABLE orders ALTER price TYPE numeric(12,2);
ALTER TABLE orders ALTER price TYPE numeric;
ALTER TABLE orders ALTER at TYPE timestamp(6), ALTER i TYPE interval(6);
