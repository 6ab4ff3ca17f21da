CREATE FUNCTION pgcharter.audit_schema_change() RETURNS event_trigger
 LANGUAGE plpgsql SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $audit$
-- What a command made and changed; temporary objects and what comes with extensions are left out.
BEGIN
  PERFORM pgcharter.audit_schema_record(TG_TAG, c.schema_name, c.object_type, c.object_identity)
    FROM pg_event_trigger_ddl_commands() c
   WHERE NOT c.in_extension AND c.schema_name IS DISTINCT FROM 'pg_temp';
END
$audit$
