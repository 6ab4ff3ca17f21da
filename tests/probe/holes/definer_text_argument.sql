-- broken: a definer function takes the tenant as text from its caller
-- says: prb_reports | function app.customers_of(text) | EXECUTE
CREATE FUNCTION app.customers_of(p_tenant text) RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT email FROM customers WHERE tenant_id = p_tenant::uuid $$;
ALTER FUNCTION app.customers_of(text) OWNER TO prb_maintenance;
REVOKE EXECUTE ON FUNCTION app.customers_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.customers_of(text) TO prb_reports;
