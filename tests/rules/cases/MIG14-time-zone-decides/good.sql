-- file: 001_orders.sql
CREATE TABLE app.orders (id bigint PRIMARY KEY, a timestamp, b timestamp, c timestamptz);
-- file: 002_zone.sql
BEGIN;
SET LOCAL TIME ZONE 'UTC';
ALTER TABLE app.orders ALTER a TYPE timestamptz;
COMMIT;
-- file: 003_zone.sql
ALTER TABLE app.orders ALTER b TYPE timestamptz USING b AT TIME ZONE 'Europe/Berlin';
ALTER TABLE app.orders ALTER c TYPE timestamptz(3);
