-- broken: WITH CHECK (true) lets rows move to another tenant
-- says: prb_api | table app.customers | INSERT
-- says: prb_api | table app.customers | move to another tenant
DROP POLICY only_tenant ON app.customers;
ALTER POLICY tenant ON app.customers WITH CHECK (true);
