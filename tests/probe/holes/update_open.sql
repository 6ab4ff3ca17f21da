-- broken: a policy for UPDATE lets rows leave the tenant
-- says: prb_api | table app.orders | move to another tenant
DROP POLICY only_tenant ON app.orders;
CREATE POLICY changes ON app.orders FOR UPDATE USING (tenant_id = app.tenant()) WITH CHECK (status <> 'gone');
