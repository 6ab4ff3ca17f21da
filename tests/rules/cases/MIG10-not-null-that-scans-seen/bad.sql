-- file: 001_orders.sql
CREATE TABLE orders (id bigint PRIMARY KEY, total integer, note text);
CREATE TABLE parts (id bigint, d date) PARTITION BY RANGE (d);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE base (id bigint);
CREATE TABLE heir () INHERITS (base);
-- file: 002_required.sql
ALTER TABLE orders ADD CONSTRAINT not_validated CHECK (total IS NOT NULL) NOT VALID;
ALTER TABLE orders ALTER total SET NOT NULL;
ALTER TABLE parts ALTER id SET NOT NULL;
ALTER TABLE base ALTER id SET NOT NULL;
