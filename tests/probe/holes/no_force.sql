-- broken: the application logs in as the owner, and row security is not forced on it
-- says: prb_owner | table app.orders | SELECT
ALTER ROLE prb_owner LOGIN;
ALTER TABLE app.orders NO FORCE ROW LEVEL SECURITY;
