BEGIN;
ALTER TABLE orders ADD COLUMN state text;
UPDATE orders SET state = 'old';
ALTER TABLE orders ALTER COLUMN state SET NOT NULL;
COMMIT;
BEGIN;
ALTER TABLE customers ADD COLUMN total numeric;
INSERT INTO archive SELECT * FROM orders;
COMMIT;
