CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, owner text, state text);
CREATE POLICY tenant ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_twice ON documents FOR UPDATE USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid AND state = 'draft')
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY publishing ON documents FOR UPDATE USING (state = 'draft') WITH CHECK (true);
CREATE TABLE messages (id bigint PRIMARY KEY, body text);
CREATE POLICY anybody_may_write ON messages FOR INSERT WITH CHECK (true);
CREATE TABLE guarded (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, owner text);
CREATE POLICY tenant ON guarded AS RESTRICTIVE USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY own ON guarded USING (owner = current_user) WITH CHECK (true);
