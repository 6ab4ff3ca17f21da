-- broken: no tenant means all tenants
-- says: prb_api | table app.orders | SELECT
DROP POLICY only_tenant ON app.orders;
ALTER POLICY tenant ON app.orders USING (app.tenant() IS NULL OR tenant_id = app.tenant());
