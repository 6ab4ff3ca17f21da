CREATE FUNCTION pgcharter.tenant_is_active() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN EXISTS (SELECT FROM pgcharter.tenants t WHERE t.tenant_id = {tenant} AND t.state = 'active');
END
$function$
