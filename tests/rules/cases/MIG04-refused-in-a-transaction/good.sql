BEGIN;
ALTER TABLE orders ADD COLUMN status text;
COMMIT;
CREATE INDEX CONCURRENTLY orders_status_idx ON orders (status);
VACUUM (ANALYZE) orders;
BEGIN;
ANALYZE orders;
ROLLBACK;
DROP INDEX CONCURRENTLY orders_code_idx;
