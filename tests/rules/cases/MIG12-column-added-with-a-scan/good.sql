ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new';
ALTER TABLE orders ADD CONSTRAINT orders_state_check CHECK (state IN ('new', 'done')) NOT VALID;
CREATE TABLE t (id bigint);
ALTER TABLE t ADD COLUMN state text CHECK (state <> '');
ALTER TABLE orders ADD COLUMN kind_id bigint REFERENCES kinds;
