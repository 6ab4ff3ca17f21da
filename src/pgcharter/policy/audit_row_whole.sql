CREATE FUNCTION pgcharter.audit_row_whole() RETURNS trigger
 LANGUAGE plpgsql SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp' SET "TimeZone" TO 'UTC'
AS $audit$
-- Arguments as of audit_row, of which this is the quick form: whole rows with a key of one column, and no value whose text hangs on settings
-- but the time zone. Each expression costs more to make ready than to evaluate, so there are as few as can be, and rare ones by themselves.
DECLARE
  before jsonb := to_jsonb(OLD);
  after jsonb := to_jsonb(NEW);
  row_key jsonb := jsonb_build_object(TG_ARGV[7], coalesce(before, after)->TG_ARGV[7]);
  other_key jsonb;
BEGIN
  IF TG_OP = 'UPDATE' AND (OLD *= NEW OR before->TG_ARGV[7] <> after->TG_ARGV[7]) THEN
    IF OLD *= NEW THEN
      RETURN NULL;
    END IF;
    other_key := jsonb_build_object(TG_ARGV[7], after->TG_ARGV[7]);
  END IF;
  -- The lock on audit_log that this takes before it draws a number, and holds to the end of the transaction, tells the sealer when no
  -- smaller number can still come.
  INSERT INTO pgcharter.audit_log (
    number, month, changed_at, transaction_at, transaction_id, table_schema, table_name, relation, operation,
    key, key_hash, new_key, old, new, session_role, actor, reason, correlation, client_address, statement, depth
  )
  VALUES (
    nextval('pgcharter.audit_log_number'),
    CASE WHEN to_regclass(to_char(clock_timestamp(), '"pgcharter.audit_log_"YYYY_MM')) IS NULL THEN '1000-01-01'
         ELSE date_trunc('month', clock_timestamp()) END,
    clock_timestamp(), transaction_timestamp(), pg_current_xact_id(), TG_ARGV[0], TG_ARGV[1], TG_RELID, TG_OP,
    row_key, hashtextextended(row_key::text, 0), other_key, before, after,
    session_user,
    nullif(current_setting('pgcharter.actor', true), ''),
    nullif(current_setting('pgcharter.reason', true), ''),
    nullif(current_setting('pgcharter.correlation', true), ''),
    inet_client_addr(),
    CASE WHEN current_setting('pgcharter.audit_statement', true) > '' OR octet_length(current_query()) > 10000
           OR TG_OP <> upper(substr(current_query(), 1, 6)) THEN pgcharter.audit_statement() ELSE TG_OP END,
    pg_trigger_depth()
  );
  RETURN NULL;
END
$audit$
