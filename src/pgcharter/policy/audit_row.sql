CREATE FUNCTION pgcharter.audit_row() RETURNS trigger
 LANGUAGE plpgsql SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC' SET "DateStyle" TO 'ISO, YMD' SET "IntervalStyle" TO 'iso_8601' SET bytea_output TO 'hex' SET extra_float_digits TO '1'
AS $audit$
-- Arguments: schema, table, key columns, columns left out, columns masked, full or difference, whether to record unchanged rows; then the
-- key column by itself where there is one only.
DECLARE
  at CONSTANT timestamptz := clock_timestamp();
  before jsonb;
  after jsonb;
  key_before jsonb;
  key_after jsonb;
  row_key jsonb;
BEGIN
  IF TG_OP = 'UPDATE' AND TG_ARGV[6] = 'false' AND NOT (OLD *<> NEW) THEN
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    before := to_jsonb(OLD);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    after := to_jsonb(NEW);
  END IF;
  IF TG_ARGV[3] <> '{}' THEN
    before := before - TG_ARGV[3]::text[];
    after := after - TG_ARGV[3]::text[];
  END IF;
  IF TG_NARGS = 8 THEN
    key_before := jsonb_build_object(TG_ARGV[7], before->TG_ARGV[7]);
    key_after := jsonb_build_object(TG_ARGV[7], after->TG_ARGV[7]);
  ELSE
    key_before := CASE WHEN TG_ARGV[2] = '{}' THEN before ELSE pgcharter.audit_part(before, TG_ARGV[2]::text[]) END;
    key_after := CASE WHEN TG_ARGV[2] = '{}' THEN after ELSE pgcharter.audit_part(after, TG_ARGV[2]::text[]) END;
  END IF;
  IF TG_OP = 'UPDATE' AND TG_ARGV[6] = 'false' AND TG_ARGV[3] <> '{}' AND before = after THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND TG_ARGV[5] = 'difference' AND key_before = key_after AND TG_ARGV[2] <> '{}' THEN
    SELECT coalesce(jsonb_object_agg(b.key, b.value), '{}'), coalesce(jsonb_object_agg(b.key, after->b.key), '{}')
      INTO before, after
      FROM jsonb_each(before) b WHERE b.value IS DISTINCT FROM after->b.key;
  END IF;
  IF TG_ARGV[4] <> '{}' THEN
    after := pgcharter.audit_masked(after, before, TG_ARGV[4]::text[]);
    before := pgcharter.audit_masked(before, before, TG_ARGV[4]::text[]);
    IF TG_ARGV[2] = '{}' THEN
      key_before := pgcharter.audit_masked(key_before, key_before, TG_ARGV[4]::text[]);
      key_after := pgcharter.audit_masked(key_after, key_after, TG_ARGV[4]::text[]);
    END IF;
  END IF;
  row_key := CASE TG_OP WHEN 'INSERT' THEN key_after ELSE key_before END;
  INSERT INTO pgcharter.audit_log (
    number, month, changed_at, transaction_at, transaction_id, table_schema, table_name, relation, operation,
    key, key_hash, new_key, old, new, session_role, actor, reason, correlation, client_address, statement, depth
  )
  VALUES (
    nextval('pgcharter.audit_log_number'),
    CASE WHEN to_regclass('pgcharter.audit_log_' || to_char(at, 'YYYY_MM')) IS NULL THEN '1000-01-01' ELSE date_trunc('month', at) END,
    at, transaction_timestamp(), pg_current_xact_id(), TG_ARGV[0], TG_ARGV[1], TG_RELID, TG_OP,
    row_key, hashtextextended(row_key::text, 0),
    CASE WHEN TG_OP = 'UPDATE' AND key_after <> key_before THEN key_after END,
    before, after,
    session_user,
    nullif(current_setting('pgcharter.actor', true), ''),
    nullif(current_setting('pgcharter.reason', true), ''),
    nullif(current_setting('pgcharter.correlation', true), ''),
    inet_client_addr(), pgcharter.audit_statement(), pg_trigger_depth()
  );
  RETURN NULL;
END
$audit$
