-- broken: the application's login bypasses row security
-- says: prb_api | table app.orders | SELECT
ALTER ROLE prb_api BYPASSRLS;
