-- broken: the owner of a definer function belongs to the group that a policy lets see everything
-- says: prb_reports | function app.top_orders() | EXECUTE
CREATE ROLE prb_system NOLOGIN;
GRANT prb_system TO prb_owner;
DROP POLICY only_tenant ON app.orders;
CREATE POLICY system ON app.orders TO prb_system USING (true);
SET ROLE prb_owner;
CREATE FUNCTION app.top_orders() RETURNS SETOF app.orders LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT * FROM orders ORDER BY total DESC LIMIT 3 $$;
REVOKE EXECUTE ON FUNCTION app.top_orders() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.top_orders() TO prb_reports;
