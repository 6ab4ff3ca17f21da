-- broken: a view of pg_statistic publishes values of all tenants
-- says: prb_reports | view app.statistics | SELECT
CREATE VIEW app.statistics AS
    SELECT s.starelid::regclass::text AS relation, s.staattnum AS number, s.stavalues1::text AS common, s.stavalues2::text AS bounds
    FROM pg_catalog.pg_statistic s JOIN pg_catalog.pg_class c ON c.oid = s.starelid WHERE c.relname = 'customers';
GRANT SELECT ON app.statistics TO prb_reports;
