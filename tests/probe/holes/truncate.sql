-- broken: TRUNCATE heeds no row policy
-- says: prb_api | table app.visits | TRUNCATE
GRANT TRUNCATE ON app.visits TO prb_api;
