-- broken: a definer procedure empties a table
-- says: prb_api | procedure app.clean() | EXECUTE
CREATE PROCEDURE app.clean() LANGUAGE sql SECURITY DEFINER SET search_path = app, pg_temp AS $$ TRUNCATE visits $$;
REVOKE EXECUTE ON PROCEDURE app.clean() FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE app.clean() TO prb_api;
ALTER PROCEDURE app.clean() OWNER TO prb_owner;
