-- broken: the application logs in as the owner; row security is forced, but who owns a table switches it off
-- says: prb_owner | table app.orders | switch off
ALTER ROLE prb_owner LOGIN;
