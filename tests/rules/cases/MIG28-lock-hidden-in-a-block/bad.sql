-- file: 001_orders.sql
CREATE TABLE orders (id integer PRIMARY KEY);
CREATE FUNCTION widen() RETURNS void LANGUAGE sql AS 'ALTER TABLE orders ADD COLUMN IF NOT EXISTS wide integer';
-- file: 002_block.sql
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE relname = 'orders') THEN
        EXECUTE 'ALTER TABLE orders ALTER COLUMN id TYPE bigint';
    END IF;
END $$;
SELECT widen();
