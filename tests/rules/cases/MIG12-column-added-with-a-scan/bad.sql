ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done'));
