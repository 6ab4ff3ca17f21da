CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, region text, owner text);
CREATE POLICY unset_and_empty ON documents USING (tenant_id = current_setting('app.tenant_id')::uuid);
CREATE POLICY unset ON documents FOR SELECT USING (region = current_setting('app.region'));
CREATE POLICY empty ON documents FOR UPDATE USING (owner = current_user)
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true)::uuid AND region <> 'it''s');
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT current_setting('app.tenant_id', true)::uuid $$;
CREATE POLICY by_function ON documents FOR DELETE USING (tenant_id = current_tenant());
