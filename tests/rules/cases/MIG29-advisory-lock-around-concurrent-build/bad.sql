SELECT pg_advisory_lock(42);
CREATE INDEX CONCURRENTLY orders_status_idx ON orders (status);
SELECT pg_advisory_unlock(42);
