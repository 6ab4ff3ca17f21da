-- broken: the application is a member of the owner
-- says: prb_api | table app.orders | TRUNCATE
GRANT prb_owner TO prb_api;
