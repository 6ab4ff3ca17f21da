CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE POLICY tenant ON documents USING (tenant_id = current_tenant());
CREATE FUNCTION slow_tenant() RETURNS uuid LANGUAGE sql AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE POLICY once ON documents FOR SELECT USING (tenant_id = (SELECT slow_tenant()));
CREATE FUNCTION may_see(document bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT document > 0 $$;
CREATE POLICY by_row ON documents FOR UPDATE USING (may_see(id));
