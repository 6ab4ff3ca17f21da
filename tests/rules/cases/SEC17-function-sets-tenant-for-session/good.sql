CREATE FUNCTION use_tenant(tenant bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- not set_config('app.tenant_id', tenant::text, false)
    PERFORM set_config('app.tenant_id', tenant::text, true);
    PERFORM set_config('pg_trgm.similarity_threshold', '0.4', false);
    PERFORM set_config('work_mem', '64MB', false);
END $$;
