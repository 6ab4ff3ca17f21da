-- broken: rows without a tenant are everybody's, and anybody may make one so
-- says: prb_api | table app.notes | move to another tenant
CREATE TABLE app.notes (id uuid PRIMARY KEY, tenant_id uuid REFERENCES app.tenants, body text);
ALTER TABLE app.notes OWNER TO prb_owner;
ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.notes USING (tenant_id = app.tenant()) WITH CHECK (tenant_id IS NOT NULL);
GRANT SELECT, INSERT, UPDATE ON app.notes TO prb_api;
