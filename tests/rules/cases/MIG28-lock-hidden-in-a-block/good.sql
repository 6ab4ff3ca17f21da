-- file: 001_orders.sql
CREATE TABLE orders (id integer PRIMARY KEY);
-- file: 002_block.sql
DO $$ BEGIN
    CREATE TABLE items (id integer PRIMARY KEY, order_id integer REFERENCES orders);
    ALTER TABLE items ALTER COLUMN id TYPE bigint;
END $$;
DO $$ BEGIN ALTER TABLE items ADD COLUMN a integer; END $$;
DO $$ BEGIN PERFORM 1 FROM orders; END $$;
