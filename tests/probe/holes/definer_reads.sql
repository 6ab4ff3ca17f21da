-- broken: a definer function forgets the tenant
-- says: prb_api | function app.find_customer(uuid) | EXECUTE
CREATE FUNCTION app.find_customer(p_id uuid) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT email FROM app.customers WHERE id = p_id $$;
REVOKE EXECUTE ON FUNCTION app.find_customer(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.find_customer(uuid) TO prb_api;
