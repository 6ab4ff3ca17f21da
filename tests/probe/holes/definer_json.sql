-- broken: a definer function takes its whole request as jsonb, the tenant included
-- says: prb_reports | function app.request(jsonb) | EXECUTE
CREATE FUNCTION app.request(body jsonb) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT jsonb_agg(o) FROM orders o WHERE tenant_id = (body ->> 'tenant_id')::uuid $$;
ALTER FUNCTION app.request(jsonb) OWNER TO prb_maintenance;
REVOKE EXECUTE ON FUNCTION app.request(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.request(jsonb) TO prb_reports;
