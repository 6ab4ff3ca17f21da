-- broken: policies are there, but row security is off
-- says: prb_api | table app.orders | SELECT
ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY;
