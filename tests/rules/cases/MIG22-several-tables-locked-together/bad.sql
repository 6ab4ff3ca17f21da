BEGIN;
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE app.items ADD COLUMN note text;
COMMIT;
