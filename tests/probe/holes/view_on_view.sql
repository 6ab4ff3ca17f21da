-- broken: a careful view stands on a careless one
-- says: prb_reports | view app.outer_orders | SELECT
CREATE VIEW app.inner_orders AS SELECT tenant_id, id, total FROM app.orders;
GRANT SELECT ON app.inner_orders TO prb_owner;
CREATE VIEW app.outer_orders AS SELECT * FROM app.inner_orders WHERE total >= 0;
GRANT SELECT ON app.outer_orders TO prb_reports;
