-- broken: a privilege on a partition, which has no row security of its own
-- says: prb_api | table app.visits_2026 | SELECT
GRANT SELECT ON app.visits_2026 TO prb_api;
