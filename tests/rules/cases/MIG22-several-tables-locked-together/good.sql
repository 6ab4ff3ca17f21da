BEGIN;
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE orders ADD COLUMN more text;
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint REFERENCES orders);
ALTER TABLE items ADD COLUMN note text;
COMMIT;
ALTER TABLE lines ADD COLUMN note text;
ALTER TABLE pages ADD COLUMN note text;
