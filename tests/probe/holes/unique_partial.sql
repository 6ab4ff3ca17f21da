-- broken: a partial unique index without the tenant
-- says: prb_api | table app.customers | values of others
CREATE UNIQUE INDEX ON app.customers (email) WHERE email IS NOT NULL;
