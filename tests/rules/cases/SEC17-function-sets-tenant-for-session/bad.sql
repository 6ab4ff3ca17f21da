CREATE FUNCTION use_tenant(tenant bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- set_config('app.other', '', true)
    PERFORM set_config('app.tenant_id', tenant::text, FALSE);
END $$;
