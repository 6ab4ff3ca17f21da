CREATE FUNCTION pgcharter.audit_schema_record(tag text, object_schema text, object_type text, object_identity text) RETURNS void
 LANGUAGE plpgsql SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp' SET "TimeZone" TO 'UTC'
AS $audit$
-- One object that a command made, changed or dropped, with the command's text but for passwords in it.
DECLARE
  at CONSTANT timestamptz := clock_timestamp();
  -- Passwords in strings inside strings, in strings, in connection strings.
  said CONSTANT text := regexp_replace(regexp_replace(regexp_replace(current_query(),
    '(password"?\s*(?:=\s*)?)''''[^''\s;,)][^'']*''''', '\1''''***''''', 'gi'),
    '(password"?\s*(?:=\s*)?)(?:(?:E|U&)?''(?!'')(?:[^''\\]|''''|\\.)*''|\$(\w*)\$.*?\$\2\$)', '\1''***''', 'gi'),
    '(password\s*=\s*)[^\s''";,()]+', '\1***', 'gi');
BEGIN
  INSERT INTO pgcharter.audit_log (
    number, month, changed_at, transaction_at, transaction_id, table_schema, table_name, relation, operation,
    new, session_role, actor, reason, correlation, client_address, statement, depth
  )
  VALUES (
    nextval('pgcharter.audit_log_number'),
    CASE WHEN to_regclass('pgcharter.audit_log_' || to_char(at, 'YYYY_MM')) IS NULL THEN '1000-01-01' ELSE date_trunc('month', at) END,
    at, transaction_timestamp(), pg_current_xact_id(), coalesce(object_schema, ''), coalesce(object_identity, ''), 0, 'SCHEMA',
    jsonb_build_object('type', object_type, 'sql', said), session_user,
    nullif(current_setting('pgcharter.actor', true), ''),
    nullif(current_setting('pgcharter.reason', true), ''),
    nullif(current_setting('pgcharter.correlation', true), ''),
    inet_client_addr(), tag, pg_trigger_depth()
  );
END
$audit$
