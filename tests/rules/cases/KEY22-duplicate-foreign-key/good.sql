CREATE TABLE users (
    tenant_id uuid NOT NULL,
    user_id uuid PRIMARY KEY,
    UNIQUE (tenant_id, user_id)
);
-- two references to one table, and one that also holds the tenant
CREATE TABLE orders (
    tenant_id uuid NOT NULL,
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    payer_id uuid NOT NULL REFERENCES users,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id)
);

-- a reference to a partitioned table has a shadow for each partition
CREATE TABLE days (
    day date PRIMARY KEY
) PARTITION BY RANGE (day);
CREATE TABLE days_2026 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE days_2027 PARTITION OF days FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE bookings (
    booking_id uuid PRIMARY KEY,
    day date NOT NULL REFERENCES days
);
