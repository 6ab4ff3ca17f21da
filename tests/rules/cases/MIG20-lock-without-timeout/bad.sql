SET lock_timeout = 0;
ALTER TABLE app.orders ADD COLUMN note text;
ALTER TABLE app.orders DROP CONSTRAINT orders_total_check;
