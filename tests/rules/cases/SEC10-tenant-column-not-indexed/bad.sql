CREATE TABLE orders (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, at date);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON orders USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE INDEX orders_at ON orders (at, tenant_id);
