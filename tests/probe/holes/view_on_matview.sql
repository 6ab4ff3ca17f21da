-- broken: a view with the caller's rights over a materialized view, which knows no policies
-- says: prb_reports | view app.totals | SELECT
CREATE MATERIALIZED VIEW app.totals_kept AS SELECT tenant_id, sum(total) AS total FROM app.orders GROUP BY 1;
ALTER MATERIALIZED VIEW app.totals_kept OWNER TO prb_maintenance;
CREATE VIEW app.totals WITH (security_invoker = true) AS SELECT * FROM app.totals_kept;
GRANT SELECT ON app.totals, app.totals_kept TO prb_reports;
