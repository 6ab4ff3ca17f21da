-- broken: a view that shows no rows, but sums of all tenants
-- says: prb_reports | view app.totals | SELECT
CREATE VIEW app.totals AS SELECT status, sum(total) AS total, count(*) AS orders FROM app.orders GROUP BY status;
GRANT SELECT ON app.totals TO prb_reports;
