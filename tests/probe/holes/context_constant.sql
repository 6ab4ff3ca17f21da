-- broken: without a tenant the policies fall back to a fixed one
-- says: prb_api | table app.orders | INSERT for a fixed tenant
CREATE OR REPLACE FUNCTION app.tenant() RETURNS uuid LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(nullif(current_setting('app.tenant', true), ''), '99999999-0000-4000-8000-000000000001')::uuid $$;
