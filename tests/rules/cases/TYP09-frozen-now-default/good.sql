CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    valid_until timestamptz NOT NULL DEFAULT 'infinity'
);

-- the text is read at each insert
CREATE TABLE payments (
    payment_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT ('now'::text)::timestamptz
);
