-- broken: a policy for support that is for everybody
-- says: prb_api | table app.customers | COPY TO
DROP POLICY only_tenant ON app.customers;
CREATE POLICY support ON app.customers USING (true);
