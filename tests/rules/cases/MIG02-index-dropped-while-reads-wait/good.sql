DROP INDEX CONCURRENTLY app.orders_status_idx;
CREATE TABLE t (id bigint, a integer);
CREATE INDEX t_a_idx ON t (a);
DROP INDEX t_a_idx;
DROP TABLE t;
