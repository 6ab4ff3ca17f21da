-- broken: what a transaction-local setting leaves behind, the empty text, means all tenants
-- says: prb_api | table app.customers | SELECT
DROP POLICY only_tenant ON app.customers;
ALTER POLICY tenant ON app.customers USING (current_setting('app.tenant', true) = '' OR tenant_id = app.tenant());
