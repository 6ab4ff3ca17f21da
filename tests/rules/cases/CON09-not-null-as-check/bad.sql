CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    placed_at timestamptz NOT NULL CONSTRAINT chk_placed_at CHECK (placed_at IS NOT NULL),
    total numeric(12, 2) CONSTRAINT chk_total CHECK (total IS NOT NULL)
);
