-- broken: a definer procedure changes rows of all
-- says: prb_api | procedure app.close_all() | EXECUTE
CREATE PROCEDURE app.close_all() LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ UPDATE app.orders SET status = 'gone' $$;
REVOKE EXECUTE ON PROCEDURE app.close_all() FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE app.close_all() TO prb_api;
