-- file: 001_a.sql
CREATE TABLE orders (id bigint PRIMARY KEY);
-- file: 002_b.sql
BEGIN;
SET LOCAL lock_timeout = '2s';
COMMIT;
ALTER TABLE orders ADD COLUMN note text;
