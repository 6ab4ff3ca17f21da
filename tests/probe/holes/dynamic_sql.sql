-- broken: a definer function puts its query together from text, and without text the filter on the tenant is left out
-- says: prb_api | function app.count_by(text) | EXECUTE
CREATE FUNCTION app.count_by(p_where text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint;
BEGIN
    EXECUTE 'SELECT count(*) FROM app.orders' || coalesce(' WHERE tenant_id = app.tenant() AND note = ' || quote_literal(p_where), '') INTO n;
    RETURN n;
END $$;
REVOKE EXECUTE ON FUNCTION app.count_by(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.count_by(text) TO prb_api;
