-- broken: the table of tenants itself is open: each sees the list of all customers
-- says: prb_api | table app.tenants | SELECT
ALTER TABLE app.tenants DISABLE ROW LEVEL SECURITY;
