-- broken: a second permissive policy is OR'ed to the first
-- says: prb_api | table app.orders | SELECT
DROP POLICY only_tenant ON app.orders;
CREATE POLICY open_ones ON app.orders FOR SELECT USING (status = 'open');
