-- broken: a function is declared leakproof, so PostgreSQL shows it rows before it asks the policies, and it tells what it saw
-- says: prb_api | function app.is_test(text) | leakproof
CREATE FUNCTION app.is_test(text) RETURNS boolean LANGUAGE plpgsql STABLE LEAKPROOF COST 0.0001 SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    IF $1 NOT LIKE '%@%' THEN RAISE EXCEPTION 'no address: %', $1; END IF; RETURN $1 LIKE '%test%'; END $$;
REVOKE EXECUTE ON FUNCTION app.is_test(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.is_test(text) TO prb_api;
