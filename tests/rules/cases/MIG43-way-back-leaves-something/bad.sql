-- migrate:up
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE t (id bigint PRIMARY KEY, m mood);
ALTER TABLE orders ADD COLUMN "Laune" mood;
CREATE INDEX orders_laune_idx ON orders (other);
-- migrate:down
DROP TABLE t;
