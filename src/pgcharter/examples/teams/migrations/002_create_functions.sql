-- Description: The trigger that keeps updated_at true, and the setting that says for which tenant a transaction works

-- A default fills updated_at once; only a trigger keeps it true for every UPDATE, also one typed by hand.
CREATE FUNCTION app.set_updated_at() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION app.set_updated_at() IS 'Row trigger: sets updated_at to the time of the transaction';

-- For the transaction (third argument true), never for the session: a pool hands the session to somebody else afterwards.
CREATE FUNCTION app.set_tenant_context(p_tenant_id uuid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', p_tenant_id::text, true);
END
$$;

GRANT EXECUTE ON FUNCTION app.set_tenant_context(uuid) TO app_readonly, app_readwrite, app_admin;
COMMENT ON FUNCTION app.set_tenant_context(uuid) IS 'Says for which tenant the rest of this transaction works; to be called first in it';

-- Once the setting was local to a transaction, it reads as '' in that session and no longer as NULL: nullif covers both, so that
-- a transaction without a tenant sees no row instead of an error.
CREATE FUNCTION app.current_tenant_id() RETURNS uuid
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid $$;

GRANT EXECUTE ON FUNCTION app.current_tenant_id() TO app_readonly, app_readwrite, app_admin;
COMMENT ON FUNCTION app.current_tenant_id() IS 'Tenant of this transaction; null when none was set';
