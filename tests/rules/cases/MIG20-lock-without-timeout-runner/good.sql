-- file: 001_a.sql
CREATE TABLE orders (id bigint PRIMARY KEY);
ALTER TABLE orders ADD COLUMN early text;
-- file: 002_b.sql
-- pgcharter: up
ALTER TABLE orders ADD COLUMN note text;
-- file: 003_c.sql
SET statement_timeout TO '5s';
ALTER TABLE orders ADD COLUMN note2 text;
