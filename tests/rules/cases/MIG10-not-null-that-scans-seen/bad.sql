-- file: 001_orders.sql
CREATE TABLE orders (id bigint PRIMARY KEY, total integer, note text);
-- file: 002_required.sql
ALTER TABLE orders ADD CONSTRAINT not_validated CHECK (total IS NOT NULL) NOT VALID;
ALTER TABLE orders ALTER total SET NOT NULL;
