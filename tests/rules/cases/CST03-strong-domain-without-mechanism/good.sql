CREATE TABLE orders (id bigint PRIMARY KEY, day date NOT NULL, parent_id bigint REFERENCES orders);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE);
-- any mechanism will do here, and this table has one
CREATE TABLE order_notes (id bigint PRIMARY KEY, order_number text NOT NULL, lock_version integer NOT NULL DEFAULT 0);
CREATE TABLE stock_levels (product_id bigint PRIMARY KEY, available int NOT NULL, row_version bigint NOT NULL DEFAULT 1);
-- part of what has a version
CREATE TABLE stock_reservations (id bigint PRIMARY KEY, product_id bigint NOT NULL REFERENCES stock_levels, quantity int NOT NULL);
-- only added to
CREATE TABLE stock_outbox (id bigint PRIMARY KEY, payload jsonb NOT NULL);
-- nothing but keys
CREATE TABLE stock_tags (product_id bigint REFERENCES stock_levels, tag text, PRIMARY KEY (product_id, tag));
CREATE TABLE rooms (id bigint PRIMARY KEY);
CREATE TABLE reservations (id bigint PRIMARY KEY, room_id bigint NOT NULL REFERENCES rooms, at date NOT NULL);
CREATE TABLE accounts (id bigint PRIMARY KEY);
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), 'serializable'); END $$;
