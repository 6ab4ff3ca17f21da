CREATE TYPE order_status AS ENUM ('draft', 'paid', 'shipped');
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    status order_status NOT NULL,
    -- numbers and single values are rules
    priority smallint CHECK (priority IN (1, 2, 3)),
    unit text CHECK (unit = 'kg'),
    code text CHECK (code ~ '^[A-Z]{3}$'),
    -- depends on another column
    refunded_by text,
    CHECK (refunded_by IN ('card', 'voucher') OR status = 'draft')
);
