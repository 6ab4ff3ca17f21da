CREATE FUNCTION pgcharter.audit_schema_drop() RETURNS event_trigger
 LANGUAGE plpgsql SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $audit$
-- What a command dropped, but for what only went along with it and for temporary objects.
BEGIN
  PERFORM pgcharter.audit_schema_record(TG_TAG, d.schema_name, d.object_type, d.object_identity)
    FROM pg_event_trigger_dropped_objects() d
   WHERE d.original AND NOT d.is_temporary;
END
$audit$
