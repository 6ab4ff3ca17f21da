CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, owner text, state text);
CREATE POLICY own ON documents FOR UPDATE USING (owner = current_user) WITH CHECK (true);
CREATE POLICY tenant ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (state <> 'gone');
CREATE POLICY making ON documents FOR INSERT WITH CHECK (true);
