CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
CREATE POLICY tenant_isolation ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE TABLE "Notes" (id bigint PRIMARY KEY, owner text NOT NULL);
CREATE POLICY reading ON "Notes" FOR SELECT USING (true);
CREATE POLICY writing ON "Notes" FOR UPDATE USING (owner = current_user);
