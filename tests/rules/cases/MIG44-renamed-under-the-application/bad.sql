ALTER TABLE app.orders RENAME COLUMN total TO gross;
ALTER TABLE orders RENAME TO sales;
ALTER TYPE mood RENAME VALUE 'good' TO 'fine';
ALTER TABLE items SET SCHEMA archive;
ALTER VIEW totals RENAME TO sums;
ALTER SCHEMA app RENAME TO shop;
DO $$
BEGIN
    IF EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'talks' AND column_name = 'timestamp') THEN
        ALTER TABLE talks RENAME COLUMN "timestamp" TO created_at;
    END IF;
END $$;
