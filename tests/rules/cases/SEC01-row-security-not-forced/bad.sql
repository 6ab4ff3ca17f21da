CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, body text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
