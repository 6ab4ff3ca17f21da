-- broken: the tenant's default is one fixed tenant, and rows are not checked since nobody may set the column
-- says: prb_api | table app.visits | INSERT own
DROP POLICY only_tenant ON app.visits;
DROP POLICY tenant ON app.visits;
CREATE POLICY tenant ON app.visits FOR SELECT USING (tenant_id = app.tenant());
CREATE POLICY add ON app.visits FOR INSERT WITH CHECK (true);
ALTER TABLE app.visits ALTER tenant_id SET DEFAULT '99999999-0000-4000-8000-000000000001';
REVOKE INSERT ON app.visits FROM prb_api;
GRANT INSERT (seen_at, page) ON app.visits TO prb_api;
