-- broken: a view of a superuser without security_invoker
-- says: prb_reports | view app.all_orders | SELECT
CREATE VIEW app.all_orders AS SELECT tenant_id, id, total FROM app.orders;
GRANT SELECT ON app.all_orders TO prb_reports;
