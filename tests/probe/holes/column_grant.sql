-- broken: row security is off, and a privilege on two columns is enough
-- says: prb_reports | table app.customers | SELECT
ALTER TABLE app.customers DISABLE ROW LEVEL SECURITY;
