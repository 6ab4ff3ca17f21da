ALTER TABLE orders ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE orders ADD COLUMN changed_at timestamptz NOT NULL DEFAULT current_timestamp;
ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new';
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE orders ADD COLUMN gross numeric GENERATED ALWAYS AS (net * 1.19) VIRTUAL;
ALTER TABLE orders ALTER COLUMN key SET DEFAULT gen_random_uuid();
CREATE TABLE t (id bigint);
ALTER TABLE t ADD COLUMN key uuid DEFAULT gen_random_uuid();
