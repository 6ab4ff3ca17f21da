CREATE TABLE payments (
    payment_id uuid PRIMARY KEY,
    amount numeric(12, 2) NOT NULL
);
CREATE UNLOGGED TABLE page_cache (
    url text PRIMARY KEY,
    body text NOT NULL
);
CREATE UNLOGGED TABLE presence (
    user_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE presence IS 'Who is online. Unlogged: after a crash everybody reports again within a minute.';
