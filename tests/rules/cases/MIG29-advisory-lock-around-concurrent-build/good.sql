SELECT pg_advisory_lock(42);
INSERT INTO releases VALUES (7);
SELECT pg_advisory_unlock(42);
CREATE INDEX CONCURRENTLY orders_status_idx ON orders (status);
