DROP INDEX CONCURRENTLY IF EXISTS app.orders_status_idx;
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_status_idx ON app.orders (status);
CREATE INDEX CONCURRENTLY orders_code_idx ON app.orders (code);
CREATE TABLE t (id bigint);
CREATE INDEX IF NOT EXISTS t_id_idx ON t (id);
