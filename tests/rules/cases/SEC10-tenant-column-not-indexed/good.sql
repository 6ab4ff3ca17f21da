CREATE TABLE orders (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, at date);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON orders USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE INDEX orders_tenant_at ON orders (tenant_id, at);
CREATE TABLE notes (id bigint, tenant_id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE TABLE open_notes (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
