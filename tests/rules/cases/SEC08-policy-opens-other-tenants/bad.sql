CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, owner text, published boolean);
CREATE POLICY tenant ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY published ON documents FOR SELECT USING (published);
