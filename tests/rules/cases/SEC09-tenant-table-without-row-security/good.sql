CREATE TABLE tenants (tenant_id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id bigint, tenant_id uuid NOT NULL REFERENCES tenants, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE TABLE countries (code text PRIMARY KEY);
