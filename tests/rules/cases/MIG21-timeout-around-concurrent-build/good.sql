SET lock_timeout = '2s';
ALTER TABLE orders ADD COLUMN status text;
RESET lock_timeout;
CREATE INDEX CONCURRENTLY orders_status_idx ON orders (status);
SET lock_timeout = '2s';
SET lock_timeout TO 0;
CREATE INDEX CONCURRENTLY orders_code_idx ON orders (code);
