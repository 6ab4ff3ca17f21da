CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, region text, zone text);
CREATE POLICY sturdy ON documents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY words ON documents FOR SELECT USING (region = current_setting('app.region', true)::text);
CREATE POLICY built_in ON documents FOR UPDATE USING (zone = current_setting('TimeZone'));
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE POLICY by_function ON documents FOR DELETE USING (tenant_id = current_tenant());
