-- broken: a view with the rights of an owner on whom row security is not forced
-- says: prb_reports | view app.all_orders | SELECT
ALTER TABLE app.orders NO FORCE ROW LEVEL SECURITY;
SET ROLE prb_owner;
CREATE VIEW app.all_orders AS SELECT tenant_id, id, total FROM app.orders;
GRANT SELECT ON app.all_orders TO prb_reports;
RESET ROLE;
