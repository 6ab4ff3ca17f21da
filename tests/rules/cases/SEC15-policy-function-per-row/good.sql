CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
CREATE FUNCTION inlined() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE POLICY tenant ON documents USING (tenant_id = inlined());
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;
END $$;
CREATE POLICY wrapped ON documents FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY built_in ON documents FOR DELETE USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
