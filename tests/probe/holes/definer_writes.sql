-- broken: a definer function gives nothing back, and deletes rows of others
-- says: prb_api | function app.forget(uuid) | EXECUTE
CREATE FUNCTION app.forget(p_customer uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ DELETE FROM app.orders WHERE customer_id = p_customer $$;
REVOKE EXECUTE ON FUNCTION app.forget(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.forget(uuid) TO prb_api;
