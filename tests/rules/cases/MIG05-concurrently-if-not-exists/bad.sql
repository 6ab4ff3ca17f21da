CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_status_idx ON app.orders (status);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "Nummer" ON "Aufträge" (nummer);
