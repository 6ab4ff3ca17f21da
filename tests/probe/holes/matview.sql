-- broken: a materialized view has no row security
-- says: prb_reports | materialized view app.best | SELECT
CREATE MATERIALIZED VIEW app.best AS SELECT tenant_id, max(total) AS total FROM app.orders GROUP BY tenant_id;
GRANT SELECT ON app.best TO prb_reports;
