CREATE FUNCTION pgcharter.audit_guard() RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $audit$
BEGIN
  RAISE EXCEPTION '% of %.% is refused: what was recorded stays as it is, or it would prove nothing', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege', HINT = 'pgcharter audit retire drops whole months that are older than the charter keeps';
END
$audit$
