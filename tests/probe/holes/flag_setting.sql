-- broken: a second setting, which is no tenant, opens everything when it is empty
-- says: prb_api | table app.orders | SELECT
DROP POLICY only_tenant ON app.orders;
DROP POLICY tenant ON app.orders;
CREATE POLICY tenant ON app.orders USING (coalesce(nullif(current_setting('app.scope', true), ''), 'all') = 'all' OR tenant_id = app.tenant());
