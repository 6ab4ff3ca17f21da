CREATE FUNCTION pgcharter.audit_truncate() RETURNS trigger
 LANGUAGE plpgsql SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp' SET row_security TO 'off'
 SET "TimeZone" TO 'UTC' SET "DateStyle" TO 'ISO, YMD' SET "IntervalStyle" TO 'iso_8601' SET bytea_output TO 'hex' SET extra_float_digits TO '1'
AS $audit$
-- Arguments as of audit_row. Every row that goes is recorded, then the statement itself.
DECLARE
  at CONSTANT timestamptz := clock_timestamp();
  month date := date_trunc('month', at);
BEGIN
  IF to_regclass('pgcharter.audit_log_' || to_char(at, 'YYYY_MM')) IS NULL THEN
    month := '1000-01-01';
  END IF;
  EXECUTE format($insert$
    WITH gone AS MATERIALIZED (
      SELECT pgcharter.audit_masked(to_jsonb(t) - $1[4]::text[], to_jsonb(t), $1[5]::text[]) AS old, to_jsonb(t) AS whole FROM ONLY %s t
    ), given AS (
      SELECT CASE WHEN $1[3] = '{}' THEN old ELSE pgcharter.audit_part(whole, $1[3]::text[]) END AS key, old FROM gone
      UNION ALL SELECT NULL, NULL
    )
    INSERT INTO pgcharter.audit_log (
      number, month, changed_at, transaction_at, transaction_id, table_schema, table_name, relation, operation,
      key, key_hash, old, session_role, actor, reason, correlation, client_address, statement, depth
    )
    SELECT nextval('pgcharter.audit_log_number'), $2, $3, transaction_timestamp(), pg_current_xact_id(), $1[1], $1[2], $4, 'TRUNCATE',
      key, hashtextextended(key::text, 0), old, session_user,
      nullif(current_setting('pgcharter.actor', true), ''),
      nullif(current_setting('pgcharter.reason', true), ''),
      nullif(current_setting('pgcharter.correlation', true), ''),
      inet_client_addr(), 'TRUNCATE', pg_trigger_depth()
    FROM given $insert$, TG_RELID::regclass)
  USING ARRAY[TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[3], TG_ARGV[4]], month, at, TG_RELID;
  RETURN NULL;
END
$audit$
