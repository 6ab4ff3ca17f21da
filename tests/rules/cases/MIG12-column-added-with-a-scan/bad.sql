ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done'));
ALTER TABLE orders ADD COLUMN kind_id bigint DEFAULT 1 REFERENCES kinds;
