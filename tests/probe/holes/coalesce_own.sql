-- broken: where no tenant is set, the row's own tenant is taken
-- says: prb_reports | table app.orders | SELECT
DROP POLICY only_tenant ON app.orders;
ALTER POLICY tenant ON app.orders USING (tenant_id = coalesce(app.tenant(), tenant_id));
