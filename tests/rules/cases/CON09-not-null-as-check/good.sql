CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    placed_at timestamptz NOT NULL,
    email text,
    phone text,
    CHECK (email IS NOT NULL OR phone IS NOT NULL),
    -- still on its way to NOT NULL
    total numeric(12, 2)
);
ALTER TABLE orders ADD CONSTRAINT chk_total CHECK (total IS NOT NULL) NOT VALID;
