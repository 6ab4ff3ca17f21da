CREATE FUNCTION pgcharter.audit_masked(image jsonb, before jsonb, masked text[]) RETURNS jsonb
 LANGUAGE sql IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $audit$
  SELECT image || coalesce(jsonb_object_agg(m, CASE WHEN before IS NULL OR before->m = image->m THEN '***' ELSE '*** (changed)' END)
    FILTER (WHERE image ? m AND image->m <> 'null'), '{}')
  FROM unnest(masked) m
$audit$
