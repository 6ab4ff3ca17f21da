BEGIN;
ALTER TYPE app.order_status ADD VALUE 'paused' AFTER 'open';
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'paused';
DO $$ BEGIN UPDATE orders SET status = 'paused' WHERE id = 1; END $$;
COMMIT;
