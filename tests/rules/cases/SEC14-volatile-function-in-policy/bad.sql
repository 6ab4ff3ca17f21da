CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE POLICY tenant ON documents USING (tenant_id = current_tenant());
CREATE FUNCTION noted_tenant() RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO documents VALUES (1, gen_random_uuid());
    RETURN NULL;
END $$;
CREATE POLICY noted ON documents FOR SELECT USING (tenant_id = noted_tenant());
