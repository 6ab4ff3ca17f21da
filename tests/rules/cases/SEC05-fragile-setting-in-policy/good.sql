CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, region text, zone text);
CREATE POLICY sturdy ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY words ON documents FOR SELECT USING (region = current_setting('app.region', true)::text);
CREATE POLICY built_in ON documents FOR UPDATE USING (zone = current_setting('TimeZone'));
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE POLICY by_function ON documents FOR DELETE USING (tenant_id = current_tenant());

-- what the cast raises is handled
CREATE FUNCTION handled_tenant() RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN current_setting('app.tenant_id')::uuid;
EXCEPTION WHEN invalid_text_representation OR undefined_object THEN
    RETURN NULL;
END $$;
CREATE TABLE handled (id bigint PRIMARY KEY, tenant_id uuid NOT NULL);
ALTER TABLE handled ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON handled USING (tenant_id = (SELECT handled_tenant()));
