VACUUM (ANALYZE) orders;
ALTER TABLE orders CLUSTER ON orders_pkey;
ALTER INDEX orders_pkey SET TABLESPACE fast;
CREATE TABLE staging (id bigint);
ALTER TABLE staging SET UNLOGGED;
VACUUM FULL staging;
