CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;
END $$;
CREATE POLICY tenant ON documents USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant() AND id > 0);
