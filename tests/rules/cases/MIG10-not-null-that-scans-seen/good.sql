-- file: 001_orders.sql
CREATE TABLE orders (id bigint PRIMARY KEY, total integer CONSTRAINT known CHECK (total IS NOT NULL AND total > 0), kind text NOT NULL);
-- file: 002_required.sql
ALTER TABLE orders ALTER total SET NOT NULL;
ALTER TABLE orders ALTER kind SET NOT NULL;
