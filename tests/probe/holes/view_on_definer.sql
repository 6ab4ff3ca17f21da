-- broken: a view with the caller's rights asks a function with its owner's
-- says: prb_reports | view app.newest | SELECT
CREATE FUNCTION app.all_visits() RETURNS SETOF app.visits LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT * FROM visits $$;
ALTER FUNCTION app.all_visits() OWNER TO prb_maintenance;
REVOKE EXECUTE ON FUNCTION app.all_visits() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_visits() TO prb_reports;
CREATE VIEW app.newest WITH (security_invoker = true) AS SELECT * FROM app.all_visits();
GRANT SELECT ON app.newest TO prb_reports;
