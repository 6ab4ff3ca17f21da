-- broken: a key without the tenant tells who is a customer of others
-- says: prb_api | table app.customers | unique key
CREATE UNIQUE INDEX ON app.customers (email);
