CREATE UNLOGGED TABLE payments (
    payment_id uuid PRIMARY KEY,
    amount numeric(12, 2) NOT NULL
);
