-- broken: a member of pg_read_all_data reads what was never granted: a table without row security
-- says: prb_reports | table app.visits_2026 | SELECT
GRANT pg_read_all_data TO prb_reports;
