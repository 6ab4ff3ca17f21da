-- broken: the policy asks for any membership instead of the one in this tenant
-- says: prb_api | table app.files | SELECT
CREATE TABLE app.files (id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES app.tenants, name text);
ALTER TABLE app.files OWNER TO prb_owner;
ALTER TABLE app.files ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY member ON app.files USING (EXISTS (SELECT 1 FROM app.customers c WHERE c.tenant_id = app.tenant()));
GRANT SELECT ON app.files TO prb_api;
