CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    placed_at timestamp NOT NULL DEFAULT now(),
    shipped_at timestamptz
);
