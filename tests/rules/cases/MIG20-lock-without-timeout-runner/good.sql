-- file: 001_a.sql
CREATE TABLE orders (id bigint PRIMARY KEY);
ALTER TABLE orders ADD COLUMN early text;
-- file: 002_b.sql
-- pgcharter: up
ALTER TABLE orders ADD COLUMN note text;
-- file: 004_d.sql
SELECT pg_catalog.set_config('lock_timeout', '2s', false);
ALTER TABLE orders ADD COLUMN note3 text;
-- file: 003_c.sql
SET statement_timeout TO '5s';
ALTER TABLE orders ADD COLUMN note2 text;
