CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, body text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE TABLE countries (code text PRIMARY KEY);

-- no policy, so it is closed to all but its owner
CREATE TABLE secrets (id bigint PRIMARY KEY, secret bytea NOT NULL);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
