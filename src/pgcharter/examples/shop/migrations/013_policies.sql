-- Migration: Policies
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: What [roles], [tenancy], [encryption], [audit] and [idempotency] of the charter want; written by tools/shop_policies.py

BEGIN;
SET LOCAL lock_timeout = '5s';
-- write down what policies make: nobody waits
CREATE SCHEMA IF NOT EXISTS pgcharter;
-- write down what policies make: nobody waits
CREATE TABLE IF NOT EXISTS pgcharter.managed_objects (object_kind text NOT NULL, schema_name text NOT NULL, object_name text NOT NULL, part_name text NOT NULL, field_name text NOT NULL, policy_name text NOT NULL, value_before text NOT NULL, PRIMARY KEY (object_kind, schema_name, object_name, part_name, field_name));
-- write down what policies make: nobody waits
COMMENT ON TABLE pgcharter.managed_objects IS 'What policies of pgcharter made in this database: objects by kind, schema, name and part; with a field name, what they changed of an object that was there, and as JSON the value before';
-- write down what policies make: nobody waits
INSERT INTO pgcharter.managed_objects (object_kind, schema_name, object_name, part_name, field_name, policy_name, value_before) VALUES
  ('column', 'catalog', 'categories', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'catalog', 'inventory_items', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'catalog', 'products', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'catalog', 'vendors', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'identity', 'users', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'messaging', 'event_versions', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'messaging', 'events', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'messaging', 'saga_instances', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'messaging', 'saga_steps', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'accounts', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'order_items', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'orders', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'payment_cards', 'card_brand', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payment_cards', 'created_at', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payment_cards', 'payment_card_id', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payment_cards', 'tenant_id', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payment_cards', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'payment_cards', 'updated_at', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payment_cards', 'user_id', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payment_cards', 'valid_until', 'acl', 'roles', 'null'),
  ('column', 'sales', 'payments', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'transfers', 'tenant_id', 'default', 'tenancy', '""'),
  ('constraint', 'sales', 'payment_cards', 'payment_cards_card_number_encrypted_sealed', '', 'encryption', ''),
  ('constraint', 'sales', 'payment_cards', 'payment_cards_card_number_exact_sealed', '', 'encryption', ''),
  ('constraint', 'sales', 'payment_cards', 'payment_cards_card_number_last4_sealed', '', 'encryption', ''),
  ('database', '', '', '', 'acl', 'roles', 'null'),
  ('default privileges', 'catalog', current_user || ' on sequences', '', '', 'roles', ''),
  ('default privileges', 'sales', current_user || ' on functions', '', '', 'roles', ''),
  ('default privileges', 'sales', current_user || ' on sequences', '', '', 'roles', ''),
  ('function', 'pgcharter', 'audit_guard()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_masked(jsonb, jsonb, text[])', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_part(jsonb, text[])', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_row()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_row_whole()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_statement()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_truncate()', '', '', 'audit', ''),
  ('membership', '', 'shop_api in shop_readwrite', '', '', 'roles', ''),
  ('membership', '', 'shop_reports in shop_readonly', '', '', 'roles', ''),
  ('policy', 'catalog', 'categories', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'catalog', 'categories', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'catalog', 'inventory_items', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'catalog', 'inventory_items', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'catalog', 'products', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'catalog', 'products', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'catalog', 'vendors', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'catalog', 'vendors', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'identity', 'tenants', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'identity', 'tenants', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'identity', 'users', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'identity', 'users', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'messaging', 'event_versions', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'messaging', 'event_versions', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'messaging', 'events', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'messaging', 'events', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'messaging', 'saga_instances', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'messaging', 'saga_instances', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'messaging', 'saga_steps', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'messaging', 'saga_steps', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'accounts', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'accounts', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'order_items', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'order_items', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'orders', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'orders', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'payment_cards', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'payment_cards', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'payments', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'payments', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'transfers', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'transfers', 'pgcharter_tenant', '', 'tenancy', ''),
  ('role', '', 'shop_api', '', '', 'roles', ''),
  ('role', '', 'shop_reports', '', '', 'roles', ''),
  ('schema', '', 'pgcharter', '', 'acl', 'idempotency', 'null'),
  ('sequence', 'pgcharter', 'audit_log_number', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2026_11', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2026_12', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_01', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_02', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_03', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_04', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_05', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_06', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_07', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_08', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_09', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_10', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_2027_11', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_log_unplaced', '', '', 'audit', ''),
  ('table', 'pgcharter', 'audit_seals', '', '', 'audit', ''),
  ('table', 'pgcharter', 'idempotency_keys', '', '', 'idempotency', ''),
  ('table', 'pgcharter', 'key_jobs', '', '', 'encryption', ''),
  ('table', 'sales', 'accounts', '', 'force_row_security', 'tenancy', 'false'),
  ('table', 'sales', 'accounts', '', 'row_security', 'tenancy', 'false'),
  ('table', 'sales', 'payment_cards', '', 'acl', 'roles', replace('[{"grantee": "its_superuser", "privilege": "DELETE", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "INSERT", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "MAINTAIN", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "REFERENCES", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "SELECT", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "TRIGGER", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "TRUNCATE", "grantor": "its_superuser"}, {"grantee": "its_superuser", "privilege": "UPDATE", "grantor": "its_superuser"}, {"grantee": "shop_admin", "privilege": "DELETE", "grantor": "its_superuser"}, {"grantee": "shop_admin", "privilege": "INSERT", "grantor": "its_superuser"}, {"grantee": "shop_admin", "privilege": "SELECT", "grantor": "its_superuser"}, {"grantee": "shop_admin", "privilege": "UPDATE", "grantor": "its_superuser"}, {"grantee": "shop_readonly", "privilege": "SELECT", "grantor": "its_superuser"}, {"grantee": "shop_readwrite", "privilege": "DELETE", "grantor": "its_superuser"}, {"grantee": "shop_readwrite", "privilege": "INSERT", "grantor": "its_superuser"}, {"grantee": "shop_readwrite", "privilege": "SELECT", "grantor": "its_superuser"}, {"grantee": "shop_readwrite", "privilege": "UPDATE", "grantor": "its_superuser"}]', 'its_superuser', current_user)),
  ('table', 'sales', 'payment_cards', '', 'force_row_security', 'tenancy', 'false'),
  ('table', 'sales', 'payment_cards', '', 'row_security', 'tenancy', 'false'),
  ('table', 'sales', 'transfers', '', 'force_row_security', 'tenancy', 'false'),
  ('table', 'sales', 'transfers', '', 'row_security', 'tenancy', 'false'),
  ('trigger', 'catalog', 'products', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'catalog', 'products', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('trigger', 'catalog', 'vendors', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'catalog', 'vendors', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('trigger', 'identity', 'tenants', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'identity', 'tenants', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('trigger', 'identity', 'users', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'identity', 'users', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('trigger', 'sales', 'accounts', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'sales', 'accounts', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('trigger', 'sales', 'payment_cards', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'sales', 'payment_cards', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('trigger', 'sales', 'payments', '0_pgcharter_audit', '', 'audit', ''),
  ('trigger', 'sales', 'payments', '0_pgcharter_audit_truncate', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_catalog_products', '', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_catalog_vendors', '', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_identity_tenants', '', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_identity_users', '', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_sales_accounts', '', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_sales_payment_cards', '', '', 'audit', ''),
  ('view', 'pgcharter', 'audit_of_sales_payments', '', '', 'audit', '');
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create role shop_api: nobody waits
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_api') THEN
        CREATE ROLE shop_api LOGIN CONNECTION LIMIT 40;
    END IF;
END
$$;
-- set idle_in_transaction_session_timeout for role shop_api: nobody waits
ALTER ROLE shop_api SET idle_in_transaction_session_timeout TO '1min';
-- set statement_timeout for role shop_api: nobody waits
ALTER ROLE shop_api SET statement_timeout TO '30s';
-- create role shop_reports: nobody waits
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_reports') THEN
        CREATE ROLE shop_reports LOGIN CONNECTION LIMIT 5;
    END IF;
END
$$;
-- shop_reports is shop_readonly: nobody waits
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        EXECUTE 'GRANT shop_readonly TO shop_reports WITH ADMIN FALSE, INHERIT TRUE, SET FALSE';
    ELSE
        GRANT shop_readonly TO shop_reports;
    END IF;
END
$$;
-- shop_api is shop_readwrite: nobody waits
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        EXECUTE 'GRANT shop_readwrite TO shop_api WITH ADMIN FALSE, INHERIT TRUE, SET FALSE';
    ELSE
        GRANT shop_readwrite TO shop_api;
    END IF;
END
$$;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- who may connect to the database: nobody waits
DO $pgcharter$BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO shop_readonly', current_database()); END$pgcharter$;
-- who may connect to the database: nobody waits
DO $pgcharter$BEGIN EXECUTE format('GRANT TEMPORARY, CONNECT ON DATABASE %I TO shop_readwrite', current_database()); END$pgcharter$;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change privileges of schema pgcharter: nobody waits
GRANT USAGE ON SCHEMA pgcharter TO shop_readwrite;
-- create sequence pgcharter.audit_log_number: nobody waits
CREATE SEQUENCE pgcharter.audit_log_number;
-- comment on sequence pgcharter.audit_log_number: nobody waits
COMMENT ON SEQUENCE pgcharter.audit_log_number IS 'Numbers of audit_log';
-- create function pgcharter.audit_guard(): nobody waits
CREATE FUNCTION pgcharter.audit_guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  RAISE EXCEPTION '% of %.% is refused: what was recorded stays as it is, or it would prove nothing', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege', HINT = 'pgcharter audit retire drops whole months that are older than the charter keeps';
END
$function$;
-- comment on function pgcharter.audit_guard(): nobody waits
COMMENT ON FUNCTION pgcharter.audit_guard() IS 'Refuses to change what was recorded';
-- revoke on function pgcharter.audit_guard(): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_guard() FROM PUBLIC;
-- create function pgcharter.audit_masked(jsonb, jsonb, text[]): nobody waits
CREATE FUNCTION pgcharter.audit_masked(image jsonb, before jsonb, masked text[])
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT image || coalesce(jsonb_object_agg(m, CASE WHEN before IS NULL OR before->m = image->m THEN '***' ELSE '*** (changed)' END)
    FILTER (WHERE image ? m AND image->m <> 'null'), '{}')
  FROM unnest(masked) m
$function$;
-- comment on function pgcharter.audit_masked(jsonb, jsonb, text[]): nobody waits
COMMENT ON FUNCTION pgcharter.audit_masked(jsonb, jsonb, text[]) IS 'A row with some columns masked';
-- revoke on function pgcharter.audit_masked(jsonb, jsonb, text[]): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_masked(jsonb, jsonb, text[]) FROM PUBLIC;
-- create function pgcharter.audit_part(jsonb, text[]): nobody waits
CREATE FUNCTION pgcharter.audit_part(image jsonb, columns text[])
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$SELECT pg_catalog.jsonb_object_agg(c, image OPERATOR(pg_catalog.->) c) FROM pg_catalog.unnest(columns) c$function$;
-- comment on function pgcharter.audit_part(jsonb, text[]): nobody waits
COMMENT ON FUNCTION pgcharter.audit_part(jsonb, text[]) IS 'Some columns of a row';
-- revoke on function pgcharter.audit_part(jsonb, text[]): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_part(jsonb, text[]) FROM PUBLIC;
-- create function pgcharter.audit_row(): nobody waits
CREATE FUNCTION pgcharter.audit_row()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'iso_8601'
 SET bytea_output TO 'hex'
 SET extra_float_digits TO '1'
AS $function$
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
$function$;
-- comment on function pgcharter.audit_row(): nobody waits
COMMENT ON FUNCTION pgcharter.audit_row() IS 'Records a changed row in audit_log';
-- revoke on function pgcharter.audit_row(): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_row() FROM PUBLIC;
-- create function pgcharter.audit_row_whole(): nobody waits
CREATE FUNCTION pgcharter.audit_row_whole()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
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
$function$;
-- comment on function pgcharter.audit_row_whole(): nobody waits
COMMENT ON FUNCTION pgcharter.audit_row_whole() IS 'Records a changed row in audit_log, the quick way';
-- revoke on function pgcharter.audit_row_whole(): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_row_whole() FROM PUBLIC;
-- create function pgcharter.audit_statement(): nobody waits
CREATE FUNCTION pgcharter.audit_statement()
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
-- First word of what the client sent. current_query() copies the whole text, so of a long one it is kept for the rest of the statement, or many
-- rows would take quadratic time.
DECLARE
  stamp CONSTANT text := extract(epoch FROM statement_timestamp())::text || ' ';
  kept CONSTANT text := current_setting('pgcharter.audit_statement', true);
  first CONSTANT text := '^(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([A-Za-z]+)';
  sent text;
  word text;
BEGIN
  IF kept ^@ stamp THEN
    RETURN substr(kept, length(stamp) + 1);
  END IF;
  sent := current_query();
  word := upper(coalesce(substring(left(sent, 1000) FROM first), substring(sent FROM first), ''));
  IF octet_length(sent) > 10000 THEN
    PERFORM set_config('pgcharter.audit_statement', stamp || word, true);
  END IF;
  RETURN word;
END
$function$;
-- comment on function pgcharter.audit_statement(): nobody waits
COMMENT ON FUNCTION pgcharter.audit_statement() IS 'First word of what the client sent';
-- revoke on function pgcharter.audit_statement(): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_statement() FROM PUBLIC;
-- create function pgcharter.audit_truncate(): nobody waits
CREATE FUNCTION pgcharter.audit_truncate()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET row_security TO 'off'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'iso_8601'
 SET bytea_output TO 'hex'
 SET extra_float_digits TO '1'
AS $function$
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
$function$;
-- comment on function pgcharter.audit_truncate(): nobody waits
COMMENT ON FUNCTION pgcharter.audit_truncate() IS 'Records rows that TRUNCATE takes in audit_log';
-- revoke on function pgcharter.audit_truncate(): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.audit_truncate() FROM PUBLIC;
-- create table pgcharter.audit_log: nobody waits
CREATE TABLE pgcharter.audit_log (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_pkey PRIMARY KEY (number, month)) PARTITION BY RANGE (month);
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.number IS 'order of writing: a later one was never written before an earlier one was drawn';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.month IS 'first day of the month of changed_at, in UTC; 1000-01-01 where no partition was there for it';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.changed_at IS 'when the row was written';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.transaction_at IS 'when its transaction began';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.table_name IS 'the table as declared, of partitions their partitioned table; for schema changes the object';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.relation IS 'the table itself, or the partition that held the row';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.operation IS 'INSERT, UPDATE, DELETE, TRUNCATE (one for each row, and one without key for the statement), SCHEMA';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.key IS 'primary key of the row before, or of the new one; the whole row where there is no primary key';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.key_hash IS 'hashtextextended(key::text, 0), to look it up by';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.new_key IS 'primary key afterwards, where an UPDATE changed it';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.old IS 'row before; of an UPDATE only what differs where the charter says so';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.new IS 'row afterwards; likewise';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.session_role IS 'role that logged in';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.actor IS 'who used the application, by its own word: pgcharter.actor';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.reason IS 'pgcharter.reason';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.correlation IS 'pgcharter.correlation';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.statement IS 'first word of what the client sent';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON COLUMN pgcharter.audit_log.depth IS '1: by the statement itself; more: by a trigger';
-- comment on table pgcharter.audit_log: nobody waits
COMMENT ON TABLE pgcharter.audit_log IS 'History of rows as [audit] of the charter declares it; nobody changes or deletes what is in here';
-- create table pgcharter.audit_log_2026_11: nobody waits
CREATE TABLE pgcharter.audit_log_2026_11 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2026_11_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2026_11: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2026_11 FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
-- create table pgcharter.audit_log_2026_12: nobody waits
CREATE TABLE pgcharter.audit_log_2026_12 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2026_12_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2026_12: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2026_12 FOR VALUES FROM ('2026-12-01') TO ('2027-01-01');
-- create table pgcharter.audit_log_2027_01: nobody waits
CREATE TABLE pgcharter.audit_log_2027_01 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_01_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_01: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_01 FOR VALUES FROM ('2027-01-01') TO ('2027-02-01');
-- create table pgcharter.audit_log_2027_02: nobody waits
CREATE TABLE pgcharter.audit_log_2027_02 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_02_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_02: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_02 FOR VALUES FROM ('2027-02-01') TO ('2027-03-01');
-- create table pgcharter.audit_log_2027_03: nobody waits
CREATE TABLE pgcharter.audit_log_2027_03 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_03_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_03: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_03 FOR VALUES FROM ('2027-03-01') TO ('2027-04-01');
-- create table pgcharter.audit_log_2027_04: nobody waits
CREATE TABLE pgcharter.audit_log_2027_04 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_04_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_04: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_04 FOR VALUES FROM ('2027-04-01') TO ('2027-05-01');
-- create table pgcharter.audit_log_2027_05: nobody waits
CREATE TABLE pgcharter.audit_log_2027_05 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_05_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_05: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_05 FOR VALUES FROM ('2027-05-01') TO ('2027-06-01');
-- create table pgcharter.audit_log_2027_06: nobody waits
CREATE TABLE pgcharter.audit_log_2027_06 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_06_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_06: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_06 FOR VALUES FROM ('2027-06-01') TO ('2027-07-01');
-- create table pgcharter.audit_log_2027_07: nobody waits
CREATE TABLE pgcharter.audit_log_2027_07 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_07_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_07: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_07 FOR VALUES FROM ('2027-07-01') TO ('2027-08-01');
-- create table pgcharter.audit_log_2027_08: nobody waits
CREATE TABLE pgcharter.audit_log_2027_08 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_08_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_08: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_08 FOR VALUES FROM ('2027-08-01') TO ('2027-09-01');
-- create table pgcharter.audit_log_2027_09: nobody waits
CREATE TABLE pgcharter.audit_log_2027_09 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_09_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_09: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_09 FOR VALUES FROM ('2027-09-01') TO ('2027-10-01');
-- create table pgcharter.audit_log_2027_10: nobody waits
CREATE TABLE pgcharter.audit_log_2027_10 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_10_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_10: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_10 FOR VALUES FROM ('2027-10-01') TO ('2027-11-01');
-- create table pgcharter.audit_log_2027_11: nobody waits
CREATE TABLE pgcharter.audit_log_2027_11 (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_2027_11_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_2027_11: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_2027_11 FOR VALUES FROM ('2027-11-01') TO ('2027-12-01');
-- create table pgcharter.audit_log_unplaced: nobody waits
CREATE TABLE pgcharter.audit_log_unplaced (number bigint NOT NULL, month date NOT NULL, changed_at timestamp with time zone NOT NULL, transaction_at timestamp with time zone NOT NULL, transaction_id xid8 NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, operation text NOT NULL, key jsonb, key_hash bigint, new_key jsonb, old jsonb, new jsonb, session_role text NOT NULL, actor text, reason text, correlation text, client_address inet, statement text, depth smallint NOT NULL, CONSTRAINT audit_log_unplaced_pkey PRIMARY KEY (number, month));
-- set up table pgcharter.audit_log_unplaced: nobody waits
ALTER TABLE pgcharter.audit_log ATTACH PARTITION pgcharter.audit_log_unplaced FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
-- create table pgcharter.audit_seals: nobody waits
CREATE TABLE pgcharter.audit_seals (seal bigint NOT NULL, sealed_at timestamp with time zone NOT NULL, kind text NOT NULL, month date NOT NULL, upto bigint NOT NULL, numbers bigint[] NOT NULL, prints bytea NOT NULL, digest bytea NOT NULL, previous bytea NOT NULL, hash bytea NOT NULL, note text NOT NULL, CONSTRAINT audit_seals_pkey PRIMARY KEY (seal));
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.kind IS 'rows, or retired: that a month was dropped by retention';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.month IS 'partition that the rows are in';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.upto IS 'all rows with a number up to this one are sealed, by this seal or others';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.numbers IS 'rows sealed, in order';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.prints IS 'the first eight bytes of each row''s hash, to tell which one differs';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.digest IS 'SHA-256 of the numbers and the rows'' hashes';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.previous IS 'hash of the seal before';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.hash IS 'SHA-256 of all of this but the prints';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON COLUMN pgcharter.audit_seals.note IS 'who dropped a month, and why';
-- comment on table pgcharter.audit_seals: nobody waits
COMMENT ON TABLE pgcharter.audit_seals IS 'Chain of hashes over audit_log, made by pgcharter audit seal and proven by pgcharter audit verify';
-- create table pgcharter.idempotency_keys: nobody waits
CREATE TABLE pgcharter.idempotency_keys (tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, operation text NOT NULL, key text NOT NULL, fingerprint bytea NOT NULL, transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL, created_at timestamp with time zone DEFAULT now() NOT NULL, expires_at timestamp with time zone DEFAULT (now() + '24:00:00'::interval) NOT NULL, answer_limit integer DEFAULT 65536 NOT NULL, answer json, CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant, operation, key)) WITH (fillfactor=70);
-- set up table pgcharter.idempotency_keys: nobody waits
ALTER TABLE pgcharter.idempotency_keys ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.idempotency_keys: nobody waits
ALTER TABLE pgcharter.idempotency_keys FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.tenant IS 'tenant of the transaction; empty: it had none';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.operation IS 'what was asked for';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.key IS 'name that whoever asked gave the request';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.fingerprint IS 'SHA-256 of the request: another request with the same key is refused';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.transaction_id IS 'transaction that did it';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.expires_at IS 'from then on the key is free';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.answer_limit IS 'most bytes that the answer may have';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON COLUMN pgcharter.idempotency_keys.answer IS 'NULL: it was done, and nothing was answered';
-- comment on table pgcharter.idempotency_keys: nobody waits
COMMENT ON TABLE pgcharter.idempotency_keys IS 'Keys of requests and what was answered, so that a request that comes again gets the first answer';
-- grant on table pgcharter.idempotency_keys: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.idempotency_keys TO shop_readwrite;
-- create table pgcharter.key_jobs: nobody waits
CREATE TABLE pgcharter.key_jobs (job text NOT NULL, "position" jsonb NOT NULL, updated_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT key_jobs_pkey PRIMARY KEY (job));
-- comment on table pgcharter.key_jobs: nobody waits
COMMENT ON TABLE pgcharter.key_jobs IS 'Jobs that encrypt or re-encrypt a column: how far each has come, written with its rows';
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column catalog.categories.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE catalog.categories ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column catalog.inventory_items.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE catalog.inventory_items ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column catalog.products.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE catalog.products ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column catalog.vendors.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE catalog.vendors ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column identity.users.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE identity.users ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column messaging.event_versions.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE messaging.event_versions ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column messaging.events.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE ONLY messaging.events ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column messaging.saga_instances.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE messaging.saga_instances ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column messaging.saga_steps.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE messaging.saga_steps ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column sales.accounts.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.accounts ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column sales.order_items.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.order_items ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column sales.orders.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.orders ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change privileges of column sales.payment_cards.payment_card_id: nobody waits
GRANT SELECT (payment_card_id) ON TABLE sales.payment_cards TO shop_readonly;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default, privileges of column sales.payment_cards.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.payment_cards ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- grant on column sales.payment_cards.tenant_id: nobody waits
GRANT SELECT (tenant_id) ON TABLE sales.payment_cards TO shop_readonly;
-- change privileges of column sales.payment_cards.user_id: nobody waits
GRANT SELECT (user_id) ON TABLE sales.payment_cards TO shop_readonly;
-- change privileges of column sales.payment_cards.card_brand: nobody waits
GRANT SELECT (card_brand) ON TABLE sales.payment_cards TO shop_readonly;
-- change privileges of column sales.payment_cards.valid_until: nobody waits
GRANT SELECT (valid_until) ON TABLE sales.payment_cards TO shop_readonly;
-- change privileges of column sales.payment_cards.created_at: nobody waits
GRANT SELECT (created_at) ON TABLE sales.payment_cards TO shop_readonly;
-- change privileges of column sales.payment_cards.updated_at: nobody waits
GRANT SELECT (updated_at) ON TABLE sales.payment_cards TO shop_readonly;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column sales.payments.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.payments ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- change default of column sales.transfers.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.transfers ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- add payment_cards_card_number_encrypted_sealed for new rows: reads and writes wait ≤ 2 s
-- old rows are read later, while everybody works on
ALTER TABLE sales.payment_cards ADD CONSTRAINT payment_cards_card_number_encrypted_sealed CHECK (((octet_length(card_number_encrypted) >= 43) AND (SUBSTRING(card_number_encrypted FROM 1 FOR 4) = '\xfe706701'::bytea))) NOT VALID;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- validate payment_cards_card_number_encrypted_sealed: nobody waits · sales.payment_cards is read
ALTER TABLE sales.payment_cards VALIDATE CONSTRAINT payment_cards_card_number_encrypted_sealed;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- add payment_cards_card_number_exact_sealed for new rows: reads and writes wait ≤ 2 s
ALTER TABLE sales.payment_cards ADD CONSTRAINT payment_cards_card_number_exact_sealed CHECK ((octet_length(card_number_exact) = 20)) NOT VALID;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- validate payment_cards_card_number_exact_sealed: nobody waits · sales.payment_cards is read
ALTER TABLE sales.payment_cards VALIDATE CONSTRAINT payment_cards_card_number_exact_sealed;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- add payment_cards_card_number_last4_sealed for new rows: reads and writes wait ≤ 2 s
ALTER TABLE sales.payment_cards ADD CONSTRAINT payment_cards_card_number_last4_sealed CHECK ((octet_length(card_number_last4) = 20)) NOT VALID;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- validate payment_cards_card_number_last4_sealed: nobody waits · sales.payment_cards is read
ALTER TABLE sales.payment_cards VALIDATE CONSTRAINT payment_cards_card_number_last4_sealed;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create index pgcharter.audit_log_key: nobody waits
CREATE INDEX audit_log_key ON ONLY pgcharter.audit_log USING btree (key_hash);
-- create index pgcharter.audit_log_2026_11_key: nobody waits
CREATE INDEX audit_log_2026_11_key ON pgcharter.audit_log_2026_11 USING btree (key_hash);
-- set up index pgcharter.audit_log_2026_11_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2026_11_key;
-- create index pgcharter.audit_log_2026_12_key: nobody waits
CREATE INDEX audit_log_2026_12_key ON pgcharter.audit_log_2026_12 USING btree (key_hash);
-- set up index pgcharter.audit_log_2026_12_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2026_12_key;
-- create index pgcharter.audit_log_2027_01_key: nobody waits
CREATE INDEX audit_log_2027_01_key ON pgcharter.audit_log_2027_01 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_01_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_01_key;
-- create index pgcharter.audit_log_2027_02_key: nobody waits
CREATE INDEX audit_log_2027_02_key ON pgcharter.audit_log_2027_02 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_02_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_02_key;
-- create index pgcharter.audit_log_2027_03_key: nobody waits
CREATE INDEX audit_log_2027_03_key ON pgcharter.audit_log_2027_03 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_03_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_03_key;
-- create index pgcharter.audit_log_2027_04_key: nobody waits
CREATE INDEX audit_log_2027_04_key ON pgcharter.audit_log_2027_04 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_04_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_04_key;
-- create index pgcharter.audit_log_2027_05_key: nobody waits
CREATE INDEX audit_log_2027_05_key ON pgcharter.audit_log_2027_05 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_05_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_05_key;
-- create index pgcharter.audit_log_2027_06_key: nobody waits
CREATE INDEX audit_log_2027_06_key ON pgcharter.audit_log_2027_06 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_06_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_06_key;
-- create index pgcharter.audit_log_2027_07_key: nobody waits
CREATE INDEX audit_log_2027_07_key ON pgcharter.audit_log_2027_07 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_07_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_07_key;
-- create index pgcharter.audit_log_2027_08_key: nobody waits
CREATE INDEX audit_log_2027_08_key ON pgcharter.audit_log_2027_08 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_08_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_08_key;
-- create index pgcharter.audit_log_2027_09_key: nobody waits
CREATE INDEX audit_log_2027_09_key ON pgcharter.audit_log_2027_09 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_09_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_09_key;
-- create index pgcharter.audit_log_2027_10_key: nobody waits
CREATE INDEX audit_log_2027_10_key ON pgcharter.audit_log_2027_10 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_10_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_10_key;
-- create index pgcharter.audit_log_2027_11_key: nobody waits
CREATE INDEX audit_log_2027_11_key ON pgcharter.audit_log_2027_11 USING btree (key_hash);
-- set up index pgcharter.audit_log_2027_11_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_2027_11_key;
-- create index pgcharter.audit_log_new_key: nobody waits
CREATE INDEX audit_log_new_key ON ONLY pgcharter.audit_log USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- create index pgcharter.audit_log_2026_11_new_key: nobody waits
CREATE INDEX audit_log_2026_11_new_key ON pgcharter.audit_log_2026_11 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2026_11_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2026_11_new_key;
-- create index pgcharter.audit_log_2026_12_new_key: nobody waits
CREATE INDEX audit_log_2026_12_new_key ON pgcharter.audit_log_2026_12 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2026_12_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2026_12_new_key;
-- create index pgcharter.audit_log_2027_01_new_key: nobody waits
CREATE INDEX audit_log_2027_01_new_key ON pgcharter.audit_log_2027_01 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_01_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_01_new_key;
-- create index pgcharter.audit_log_2027_02_new_key: nobody waits
CREATE INDEX audit_log_2027_02_new_key ON pgcharter.audit_log_2027_02 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_02_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_02_new_key;
-- create index pgcharter.audit_log_2027_03_new_key: nobody waits
CREATE INDEX audit_log_2027_03_new_key ON pgcharter.audit_log_2027_03 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_03_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_03_new_key;
-- create index pgcharter.audit_log_2027_04_new_key: nobody waits
CREATE INDEX audit_log_2027_04_new_key ON pgcharter.audit_log_2027_04 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_04_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_04_new_key;
-- create index pgcharter.audit_log_2027_05_new_key: nobody waits
CREATE INDEX audit_log_2027_05_new_key ON pgcharter.audit_log_2027_05 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_05_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_05_new_key;
-- create index pgcharter.audit_log_2027_06_new_key: nobody waits
CREATE INDEX audit_log_2027_06_new_key ON pgcharter.audit_log_2027_06 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_06_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_06_new_key;
-- create index pgcharter.audit_log_2027_07_new_key: nobody waits
CREATE INDEX audit_log_2027_07_new_key ON pgcharter.audit_log_2027_07 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_07_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_07_new_key;
-- create index pgcharter.audit_log_2027_08_new_key: nobody waits
CREATE INDEX audit_log_2027_08_new_key ON pgcharter.audit_log_2027_08 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_08_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_08_new_key;
-- create index pgcharter.audit_log_2027_09_new_key: nobody waits
CREATE INDEX audit_log_2027_09_new_key ON pgcharter.audit_log_2027_09 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_09_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_09_new_key;
-- create index pgcharter.audit_log_2027_10_new_key: nobody waits
CREATE INDEX audit_log_2027_10_new_key ON pgcharter.audit_log_2027_10 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_10_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_10_new_key;
-- create index pgcharter.audit_log_2027_11_new_key: nobody waits
CREATE INDEX audit_log_2027_11_new_key ON pgcharter.audit_log_2027_11 USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_2027_11_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_2027_11_new_key;
-- create index pgcharter.audit_log_unplaced_key: nobody waits
CREATE INDEX audit_log_unplaced_key ON pgcharter.audit_log_unplaced USING btree (key_hash);
-- set up index pgcharter.audit_log_unplaced_key: nobody waits
ALTER INDEX pgcharter.audit_log_key ATTACH PARTITION pgcharter.audit_log_unplaced_key;
-- create index pgcharter.audit_log_unplaced_new_key: nobody waits
CREATE INDEX audit_log_unplaced_new_key ON pgcharter.audit_log_unplaced USING btree (hashtextextended((new_key)::text, (0)::bigint)) WHERE (new_key IS NOT NULL);
-- set up index pgcharter.audit_log_unplaced_new_key: nobody waits
ALTER INDEX pgcharter.audit_log_new_key ATTACH PARTITION pgcharter.audit_log_unplaced_new_key;
-- create index pgcharter.idempotency_keys_expires_at: nobody waits
CREATE INDEX idempotency_keys_expires_at ON pgcharter.idempotency_keys USING btree (expires_at);
-- create view pgcharter.audit_of_catalog_products: nobody waits
CREATE VIEW pgcharter.audit_of_catalog_products AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'catalog'::text) AND (table_name = 'products'::text));
-- comment on view pgcharter.audit_of_catalog_products: nobody waits
COMMENT ON VIEW pgcharter.audit_of_catalog_products IS 'History of catalog.products';
-- create view pgcharter.audit_of_catalog_vendors: nobody waits
CREATE VIEW pgcharter.audit_of_catalog_vendors AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'catalog'::text) AND (table_name = 'vendors'::text));
-- comment on view pgcharter.audit_of_catalog_vendors: nobody waits
COMMENT ON VIEW pgcharter.audit_of_catalog_vendors IS 'History of catalog.vendors';
-- create view pgcharter.audit_of_identity_tenants: nobody waits
CREATE VIEW pgcharter.audit_of_identity_tenants AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'identity'::text) AND (table_name = 'tenants'::text));
-- comment on view pgcharter.audit_of_identity_tenants: nobody waits
COMMENT ON VIEW pgcharter.audit_of_identity_tenants IS 'History of identity.tenants';
-- create view pgcharter.audit_of_identity_users: nobody waits
CREATE VIEW pgcharter.audit_of_identity_users AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'identity'::text) AND (table_name = 'users'::text));
-- comment on view pgcharter.audit_of_identity_users: nobody waits
COMMENT ON VIEW pgcharter.audit_of_identity_users IS 'History of identity.users';
-- create view pgcharter.audit_of_sales_accounts: nobody waits
CREATE VIEW pgcharter.audit_of_sales_accounts AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'sales'::text) AND (table_name = 'accounts'::text));
-- comment on view pgcharter.audit_of_sales_accounts: nobody waits
COMMENT ON VIEW pgcharter.audit_of_sales_accounts IS 'History of sales.accounts';
-- create view pgcharter.audit_of_sales_payment_cards: nobody waits
CREATE VIEW pgcharter.audit_of_sales_payment_cards AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'sales'::text) AND (table_name = 'payment_cards'::text));
-- comment on view pgcharter.audit_of_sales_payment_cards: nobody waits
COMMENT ON VIEW pgcharter.audit_of_sales_payment_cards IS 'History of sales.payment_cards';
-- create view pgcharter.audit_of_sales_payments: nobody waits
CREATE VIEW pgcharter.audit_of_sales_payments AS SELECT number,
    changed_at,
    transaction_at,
    transaction_id,
    relation,
    operation,
    key,
    key_hash,
    new_key,
    old,
    new,
    session_role,
    actor,
    reason,
    correlation,
    client_address,
    statement,
    depth
   FROM pgcharter.audit_log l
  WHERE ((table_schema = 'sales'::text) AND (table_name = 'payments'::text));
-- comment on view pgcharter.audit_of_sales_payments: nobody waits
COMMENT ON VIEW pgcharter.audit_of_sales_payments IS 'History of sales.payments';
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger catalog.products."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON catalog.products FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row('catalog', 'products', '{"product_id"}', '{"search_vector"}', '{}', 'full', 'false', 'product_id');
-- set up trigger catalog.products."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE catalog.products ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger catalog.products."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON catalog.products FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('catalog', 'products', '{"product_id"}', '{"search_vector"}', '{}', 'full', 'false', 'product_id');
-- set up trigger catalog.products."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE catalog.products ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger catalog.vendors."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON catalog.vendors FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row_whole('catalog', 'vendors', '{"vendor_id"}', '{}', '{}', 'full', 'false', 'vendor_id');
-- set up trigger catalog.vendors."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE catalog.vendors ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger catalog.vendors."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON catalog.vendors FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('catalog', 'vendors', '{"vendor_id"}', '{}', '{}', 'full', 'false', 'vendor_id');
-- set up trigger catalog.vendors."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE catalog.vendors ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger identity.tenants."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON identity.tenants FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row_whole('identity', 'tenants', '{"tenant_id"}', '{}', '{}', 'full', 'false', 'tenant_id');
-- set up trigger identity.tenants."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE identity.tenants ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger identity.tenants."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON identity.tenants FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('identity', 'tenants', '{"tenant_id"}', '{}', '{}', 'full', 'false', 'tenant_id');
-- set up trigger identity.tenants."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE identity.tenants ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger identity.users."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON identity.users FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row('identity', 'users', '{"user_id"}', '{"password_hash"}', '{}', 'full', 'false', 'user_id');
-- set up trigger identity.users."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE identity.users ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger identity.users."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON identity.users FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('identity', 'users', '{"user_id"}', '{"password_hash"}', '{}', 'full', 'false', 'user_id');
-- set up trigger identity.users."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE identity.users ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger pgcharter.audit_log.audit_guard_rows: nobody waits
CREATE TRIGGER audit_guard_rows BEFORE DELETE OR UPDATE ON pgcharter.audit_log FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log.audit_guard_rows: nobody waits
ALTER TABLE pgcharter.audit_log ENABLE ALWAYS TRIGGER audit_guard_rows;
-- create trigger pgcharter.audit_log.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2026_11.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2026_11 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2026_11.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2026_11 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2026_12.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2026_12 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2026_12.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2026_12 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_01.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_01 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_01.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_01 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_02.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_02 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_02.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_02 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_03.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_03 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_03.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_03 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_04.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_04 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_04.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_04 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_05.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_05 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_05.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_05 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_06.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_06 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_06.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_06 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_07.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_07 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_07.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_07 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_08.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_08 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_08.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_08 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_09.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_09 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_09.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_09 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_10.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_10 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_10.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_10 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_2027_11.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_2027_11 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_2027_11.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_2027_11 ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_log_unplaced.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_log_unplaced FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_log_unplaced.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_log_unplaced ENABLE ALWAYS TRIGGER audit_guard_whole;
-- create trigger pgcharter.audit_seals.audit_guard_rows: nobody waits
CREATE TRIGGER audit_guard_rows BEFORE DELETE OR UPDATE ON pgcharter.audit_seals FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_seals.audit_guard_rows: nobody waits
ALTER TABLE pgcharter.audit_seals ENABLE ALWAYS TRIGGER audit_guard_rows;
-- create trigger pgcharter.audit_seals.audit_guard_whole: nobody waits
CREATE TRIGGER audit_guard_whole BEFORE TRUNCATE ON pgcharter.audit_seals FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_guard();
-- set up trigger pgcharter.audit_seals.audit_guard_whole: nobody waits
ALTER TABLE pgcharter.audit_seals ENABLE ALWAYS TRIGGER audit_guard_whole;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger sales.accounts."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON sales.accounts FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row_whole('sales', 'accounts', '{"account_id"}', '{}', '{}', 'full', 'false', 'account_id');
-- set up trigger sales.accounts."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE sales.accounts ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger sales.accounts."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON sales.accounts FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('sales', 'accounts', '{"account_id"}', '{}', '{}', 'full', 'false', 'account_id');
-- set up trigger sales.accounts."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE sales.accounts ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger sales.payment_cards."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON sales.payment_cards FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row('sales', 'payment_cards', '{"payment_card_id"}', '{"card_number_encrypted","card_number_exact","card_number_last4"}', '{}', 'full', 'false', 'payment_card_id');
-- set up trigger sales.payment_cards."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE sales.payment_cards ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger sales.payment_cards."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON sales.payment_cards FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('sales', 'payment_cards', '{"payment_card_id"}', '{"card_number_encrypted","card_number_exact","card_number_last4"}', '{}', 'full', 'false', 'payment_card_id');
-- set up trigger sales.payment_cards."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE sales.payment_cards ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create trigger sales.payments."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit" AFTER INSERT OR DELETE OR UPDATE ON sales.payments FOR EACH ROW EXECUTE FUNCTION pgcharter.audit_row_whole('sales', 'payments', '{"payment_id"}', '{}', '{}', 'full', 'false', 'payment_id');
-- set up trigger sales.payments."0_pgcharter_audit": reads go on, writes wait ≤ 2 s
ALTER TABLE sales.payments ENABLE ALWAYS TRIGGER "0_pgcharter_audit";
-- create trigger sales.payments."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
CREATE TRIGGER "0_pgcharter_audit_truncate" BEFORE TRUNCATE ON sales.payments FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.audit_truncate('sales', 'payments', '{"payment_id"}', '{}', '{}', 'full', 'false', 'payment_id');
-- set up trigger sales.payments."0_pgcharter_audit_truncate": reads go on, writes wait ≤ 2 s
ALTER TABLE sales.payments ENABLE ALWAYS TRIGGER "0_pgcharter_audit_truncate";
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy catalog.categories.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON catalog.categories USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy catalog.categories.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON catalog.categories AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy catalog.inventory_items.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON catalog.inventory_items USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy catalog.inventory_items.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON catalog.inventory_items AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy catalog.products.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON catalog.products USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy catalog.products.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON catalog.products AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy catalog.vendors.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON catalog.vendors USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy catalog.vendors.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON catalog.vendors AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy identity.tenants.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON identity.tenants USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy identity.tenants.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON identity.tenants AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy identity.users.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON identity.users USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy identity.users.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON identity.users AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy messaging.event_versions.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON messaging.event_versions USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy messaging.event_versions.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON messaging.event_versions AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy messaging.events.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON messaging.events USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy messaging.events.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON messaging.events AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy messaging.saga_instances.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON messaging.saga_instances USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy messaging.saga_instances.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON messaging.saga_instances AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy messaging.saga_steps.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON messaging.saga_steps USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy messaging.saga_steps.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON messaging.saga_steps AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy pgcharter.idempotency_keys.pgcharter_owner: nobody waits
CREATE POLICY pgcharter_owner ON pgcharter.idempotency_keys TO CURRENT_USER USING (true) WITH CHECK (true);
-- create policy pgcharter.idempotency_keys.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.idempotency_keys USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy sales.accounts.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.accounts USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.accounts.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.accounts AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- change row security, force row security of table sales.accounts: reads and writes wait ≤ 2 s
ALTER TABLE sales.accounts ENABLE ROW LEVEL SECURITY;
-- set up table sales.accounts: reads and writes wait ≤ 2 s
ALTER TABLE sales.accounts FORCE ROW LEVEL SECURITY;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy sales.order_items.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.order_items USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.order_items.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.order_items AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy sales.orders.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.orders USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.orders.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.orders AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy sales.payment_cards.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.payment_cards USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.payment_cards.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.payment_cards AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- change row security, force row security, privileges of table sales.payment_cards: reads and writes wait ≤ 2 s
ALTER TABLE sales.payment_cards ENABLE ROW LEVEL SECURITY;
-- set up table sales.payment_cards: reads and writes wait ≤ 2 s
ALTER TABLE sales.payment_cards FORCE ROW LEVEL SECURITY;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- revoke on table sales.payment_cards: nobody waits
REVOKE SELECT ON TABLE sales.payment_cards FROM shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (payment_card_id) ON TABLE sales.payment_cards TO shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (tenant_id) ON TABLE sales.payment_cards TO shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (user_id) ON TABLE sales.payment_cards TO shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (card_brand) ON TABLE sales.payment_cards TO shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (valid_until) ON TABLE sales.payment_cards TO shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (created_at) ON TABLE sales.payment_cards TO shop_readonly;
-- grant on table sales.payment_cards: nobody waits
GRANT SELECT (updated_at) ON TABLE sales.payment_cards TO shop_readonly;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy sales.payments.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.payments USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.payments.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.payments AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create policy sales.transfers.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.transfers USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.transfers.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.transfers AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- change row security, force row security of table sales.transfers: reads and writes wait ≤ 2 s
ALTER TABLE sales.transfers ENABLE ROW LEVEL SECURITY;
-- set up table sales.transfers: reads and writes wait ≤ 2 s
ALTER TABLE sales.transfers FORCE ROW LEVEL SECURITY;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- create default privileges on sequences in schema catalog: nobody waits
ALTER DEFAULT PRIVILEGES IN SCHEMA catalog GRANT SELECT ON SEQUENCES TO shop_readonly;
-- set up default privileges on sequences in schema catalog: nobody waits
ALTER DEFAULT PRIVILEGES IN SCHEMA catalog GRANT SELECT, USAGE ON SEQUENCES TO shop_readwrite;
-- create default privileges on functions in schema sales: nobody waits
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT EXECUTE ON FUNCTIONS TO shop_readwrite;
-- create default privileges on sequences in schema sales: nobody waits
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON SEQUENCES TO shop_readonly;
-- set up default privileges on sequences in schema sales: nobody waits
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT, USAGE ON SEQUENCES TO shop_readwrite;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- who may no longer connect to the database: nobody waits
DO $pgcharter$BEGIN EXECUTE format('REVOKE TEMPORARY, CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END$pgcharter$;
COMMIT;
