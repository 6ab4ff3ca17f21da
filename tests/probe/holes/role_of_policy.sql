-- broken: the policy that restricts is for one role, the one that allows for everybody
-- says: prb_reports | table app.orders | SELECT
DROP POLICY only_tenant ON app.orders;
DROP POLICY tenant ON app.orders;
CREATE POLICY everybody ON app.orders USING (true);
CREATE POLICY only_tenant ON app.orders AS RESTRICTIVE TO prb_api USING (tenant_id = app.tenant());
