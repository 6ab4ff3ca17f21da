-- broken: a definer function counts the rows of all
-- says: prb_reports | function app.how_many() | EXECUTE
CREATE FUNCTION app.how_many() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT count(*) FROM app.orders $$;
REVOKE EXECUTE ON FUNCTION app.how_many() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.how_many() TO prb_reports;
