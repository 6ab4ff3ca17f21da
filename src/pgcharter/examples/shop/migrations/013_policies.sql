-- Migration: Policies
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: What the policies of the charter want, from [roles] to [evidence]; written by tools/shop_policies.py

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
  ('column', 'sales', 'accounts', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'order_items', 'tenant_id', 'default', 'tenancy', '""'),
  ('column', 'sales', 'order_journeys', 'tenant_id', 'default', 'tenancy', '""'),
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
  ('function', 'pgcharter', 'append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text)', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'audit_guard()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_masked(jsonb, jsonb, text[])', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_part(jsonb, text[])', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_row()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_row_whole()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_statement()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'audit_truncate()', '', '', 'audit', ''),
  ('function', 'pgcharter', 'event_heads_moved(text, text[], uuid[], integer[], integer[])', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'events_guard()', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[])', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'outbox_rotate(bigint)', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'saga_claim(text, interval, text[], integer[], integer, uuid[])', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text)', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'saga_start(uuid, text, integer, jsonb, text, text, interval, interval)', '', '', 'messaging', ''),
  ('function', 'pgcharter', 'settled(text)', '', '', 'messaging', ''),
  ('membership', '', 'shop_api in shop_readwrite', '', '', 'roles', ''),
  ('membership', '', 'shop_reports in shop_readonly', '', '', 'roles', ''),
  ('membership', '', 'shop_worker in shop_readwrite', '', '', 'roles', ''),
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
  ('policy', 'sales', 'accounts', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'accounts', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'order_items', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'order_items', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'order_journeys', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'order_journeys', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'orders', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'orders', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'payment_cards', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'payment_cards', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'payments', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'payments', 'pgcharter_tenant', '', 'tenancy', ''),
  ('policy', 'sales', 'transfers', 'pgcharter_rows', '', 'tenancy', ''),
  ('policy', 'sales', 'transfers', 'pgcharter_tenant', '', 'tenancy', ''),
  ('publication', '', 'shop_sync', '', '', 'sync', ''),
  ('role', '', 'shop_api', '', '', 'roles', ''),
  ('role', '', 'shop_reports', '', '', 'roles', ''),
  ('role', '', 'shop_worker', '', '', 'roles', ''),
  ('schema', '', 'pgcharter', '', 'acl', 'idempotency', 'null'),
  ('sequence', 'pgcharter', 'audit_log_number', '', '', 'audit', ''),
  ('sequence', 'pgcharter', 'events_position', '', '', 'messaging', ''),
  ('sequence', 'pgcharter', 'outbox_position', '', '', 'messaging', ''),
  ('sequence', 'pgcharter', 'outbox_turn', '', '', 'messaging', ''),
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
  ('table', 'pgcharter', 'event_heads', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'event_snapshots', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'events', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'events_2026_11', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'events_2026_12', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'events_2027_01', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'events_2027_02', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'events_unplaced', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'evidence', '', '', 'evidence', ''),
  ('table', 'pgcharter', 'feeds', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'idempotency_keys', '', '', 'idempotency', ''),
  ('table', 'pgcharter', 'inbox', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'key_jobs', '', '', 'encryption', ''),
  ('table', 'pgcharter', 'logs', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'outbox', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'outbox_0', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'outbox_1', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'outbox_2', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'outbox_3', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'outbox_routes', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'parked', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'projections', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'saga_history', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'saga_instances', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'saga_signals', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'saga_steps', '', '', 'messaging', ''),
  ('table', 'pgcharter', 'scores', '', '', 'evidence', ''),
  ('table', 'pgcharter', 'sync_corrections', '', '', 'sync', ''),
  ('table', 'pgcharter', 'sync_sinks', '', '', 'sync', ''),
  ('table', 'pgcharter', 'sync_snapshots', '', '', 'sync', ''),
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
-- create role shop_worker: nobody waits
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_worker') THEN
        CREATE ROLE shop_worker LOGIN CONNECTION LIMIT 20;
    END IF;
END
$$;
-- set idle_in_transaction_session_timeout for role shop_worker: nobody waits
ALTER ROLE shop_worker SET idle_in_transaction_session_timeout TO '1min';
-- set statement_timeout for role shop_worker: nobody waits
ALTER ROLE shop_worker SET statement_timeout TO '30s';
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
-- shop_worker is shop_readwrite: nobody waits
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        EXECUTE 'GRANT shop_readwrite TO shop_worker WITH ADMIN FALSE, INHERIT TRUE, SET FALSE';
    ELSE
        GRANT shop_readwrite TO shop_worker;
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
GRANT USAGE ON SCHEMA pgcharter TO shop_readonly;
-- grant on schema pgcharter: nobody waits
GRANT USAGE ON SCHEMA pgcharter TO shop_readwrite;
-- grant on schema pgcharter: nobody waits
GRANT USAGE ON SCHEMA pgcharter TO shop_worker;
-- create sequence pgcharter.audit_log_number: nobody waits
CREATE SEQUENCE pgcharter.audit_log_number;
-- comment on sequence pgcharter.audit_log_number: nobody waits
COMMENT ON SEQUENCE pgcharter.audit_log_number IS 'Numbers of audit_log';
-- create sequence pgcharter.events_position: nobody waits
CREATE SEQUENCE pgcharter.events_position;
-- comment on sequence pgcharter.events_position: nobody waits
COMMENT ON SEQUENCE pgcharter.events_position IS 'Positions of events';
-- grant on sequence pgcharter.events_position: nobody waits
GRANT SELECT ON SEQUENCE pgcharter.events_position TO shop_readwrite;
-- grant on sequence pgcharter.events_position: nobody waits
GRANT SELECT ON SEQUENCE pgcharter.events_position TO shop_worker;
-- create sequence pgcharter.outbox_position: nobody waits
CREATE SEQUENCE pgcharter.outbox_position;
-- comment on sequence pgcharter.outbox_position: nobody waits
COMMENT ON SEQUENCE pgcharter.outbox_position IS 'Positions of outbox';
-- grant on sequence pgcharter.outbox_position: nobody waits
GRANT SELECT ON SEQUENCE pgcharter.outbox_position TO shop_worker;
-- create sequence pgcharter.outbox_turn: nobody waits
CREATE SEQUENCE pgcharter.outbox_turn MINVALUE 0 MAXVALUE 3 CYCLE;
-- comment on sequence pgcharter.outbox_turn: nobody waits
COMMENT ON SEQUENCE pgcharter.outbox_turn IS 'Part of outbox that is filled now';
-- grant on sequence pgcharter.outbox_turn: nobody waits
GRANT SELECT ON SEQUENCE pgcharter.outbox_turn TO shop_worker;
-- create function pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text): nobody waits
CREATE FUNCTION pgcharter.append_events(aggregate_types text[], aggregate_ids uuid[], expected integer[], counts integer[], event_types text[], event_data jsonb[], metadata jsonb[] DEFAULT NULL::jsonb[], schema_versions integer[] DEFAULT NULL::integer[], event_ids uuid[] DEFAULT NULL::uuid[], actors text[] DEFAULT NULL::text[], correlations text[] DEFAULT NULL::text[], causations text[] DEFAULT NULL::text[], for_tenant text DEFAULT NULL::text, on_conflict text DEFAULT 'raise'::text, OUT versions integer[], OUT last_position bigint, OUT written_at timestamp with time zone, OUT conflicts jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
-- The first `counts[1]` events are of aggregate 1, the next of aggregate 2, and so on. `expected` is the version that an aggregate must have:
-- 0 none yet, -1 or NULL any, -2 one at least. `on_conflict`: raise; report: append nothing, say why in `conflicts`; each: the others are
-- appended. Where the version is another, `versions` is NULL. Plans are generic: with the lengths of arrays at hand, each call would be
-- planned anew, for longer than it runs.
DECLARE
    n CONSTANT integer := cardinality(aggregate_ids);
    whose CONSTANT text := coalesce(for_tenant, current_setting('pgcharter.tenant', true), '');
    owners integer[];
    firsts integer[];
    kept_in date;
    seed text;
    said record;
    barrier text;
    who CONSTANT text := nullif(current_setting('pgcharter.actor', true), '');
    what CONSTANT text := nullif(current_setting('pgcharter.correlation', true), '');
BEGIN
    IF n = 0 OR (cardinality(aggregate_types), cardinality(expected), cardinality(counts), cardinality(event_data))
                IS DISTINCT FROM (n, n, n, cardinality(event_types)) THEN
        RAISE EXCEPTION 'the arrays given to append_events do not belong together, so nothing was appended'
            USING ERRCODE = 'array_subscript_error', HINT = 'a type, an id, an expected version and a number of events for each aggregate';
    END IF;
    IF for_tenant <> nullif(current_setting('pgcharter.tenant', true), '') THEN
        RAISE EXCEPTION 'a transaction of tenant % appends its own events, and none of tenant %', current_setting('pgcharter.tenant'), for_tenant
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF pg_column_size(event_data)::int8 + coalesce(pg_column_size(metadata), 0) > 16777216 THEN
        SELECT left(u.type, 200) AS type, pg_column_size(u.data)::int8 + coalesce(pg_column_size(u.notes), 0) AS size INTO said
          FROM unnest(event_types, event_data, metadata) u (type, data, notes) ORDER BY 2 DESC LIMIT 1;
        IF said.size > 16777216 THEN
            RAISE EXCEPTION 'an event of type % has % bytes, and may have 16777216, so nothing was appended', said.type, said.size
                USING ERRCODE = 'program_limit_exceeded',
                      HINT = 'keep what is large in a table or a store of its own and say where it is; or message_bytes in [messaging] of pgcharter.toml';
        END IF;
    END IF;
    IF n = 1 THEN
        firsts := ARRAY[-counts[1]];
    ELSE
        FOR i IN 1..n LOOP
            owners := owners || array_fill(i, ARRAY[greatest(counts[i], 0)]);
            firsts[i] := coalesce(firsts[i - 1], 0) - counts[i];
        END LOOP;
    END IF;
    IF firsts[n] IS DISTINCT FROM -cardinality(event_types) OR 1 > ANY (counts) THEN
        RAISE EXCEPTION 'append_events was given % events, and numbers of events of aggregates that do not add up to them: %',
            cardinality(event_types), counts USING ERRCODE = 'array_subscript_error';
    END IF;
    IF n = 1 AND expected[1] NOT IN (0, -1) THEN -- as event_heads_moved does, which costs a quarter more
        UPDATE pgcharter.event_heads h SET version = h.version + counts[1]
         WHERE h.aggregate_id = aggregate_ids[1] AND h.aggregate_type = aggregate_types[1] AND h.tenant = whose
           AND (expected[1] = -2 OR h.version = expected[1])
        RETURNING ARRAY[h.version] INTO versions;
    ELSIF n = 1 THEN
        INSERT INTO pgcharter.event_heads AS h (tenant, aggregate_type, aggregate_id, version)
        VALUES (whose, aggregate_types[1], aggregate_ids[1], counts[1])
            ON CONFLICT ON CONSTRAINT event_heads_pkey
            DO UPDATE SET version = h.version + excluded.version WHERE expected[1] IS DISTINCT FROM 0
        RETURNING ARRAY[h.version] INTO versions;
    ELSIF on_conflict <> 'report' THEN
        versions := pgcharter.event_heads_moved(whose, aggregate_types, aggregate_ids, expected, counts);
    ELSE
        BEGIN
            versions := pgcharter.event_heads_moved(whose, aggregate_types, aggregate_ids, expected, counts);
            IF array_position(versions, NULL) > 0 THEN
                RAISE EXCEPTION 'taken back' USING ERRCODE = 'PC409';
            END IF;
        EXCEPTION WHEN SQLSTATE 'PC409' THEN
            NULL;
        END;
    END IF;
    IF versions IS NULL OR array_position(versions, NULL) > 0 THEN
        SELECT jsonb_agg(jsonb_build_object('number', i, 'actual', coalesce(h.version, 0), 'actor', e.actor, 'at', e.created_at, 'type', e.event_type)
                         ORDER BY i)
          INTO conflicts
          FROM generate_subscripts(aggregate_ids, 1) i
          LEFT JOIN pgcharter.event_heads h
            ON h.tenant = whose AND h.aggregate_type = aggregate_types[i] AND h.aggregate_id = aggregate_ids[i]
          LEFT JOIN pgcharter.events e
            ON e.tenant = whose AND e.aggregate_type = aggregate_types[i] AND e.aggregate_id = aggregate_ids[i] AND e.event_version = h.version
         WHERE versions[i] IS NULL;
        IF on_conflict = 'raise' THEN
            SELECT * INTO said FROM jsonb_to_recordset(conflicts) c(number integer, actual integer, actor text, at timestamptz, type text);
            RAISE EXCEPTION '% % is at version %, and the append expected %; last was % by % at %', aggregate_types[said.number],
                aggregate_ids[said.number], said.actual,
                CASE expected[said.number] WHEN -2 THEN 'some' ELSE expected[said.number]::text END,
                coalesce(said.type, 'nothing'), coalesce(said.actor, 'nobody named'), coalesce(said.at::text, 'no time')
                USING ERRCODE = 'PC409', DETAIL = conflicts::text, HINT = 'read the aggregate again, and decide anew';
        END IF;
        IF on_conflict = 'report' OR jsonb_array_length(conflicts) = n THEN
            versions := array_fill(NULL::integer, ARRAY[n]);
            RETURN;
        END IF;
    END IF;
    -- Heads are locked now, so that positions and times of an aggregate follow its versions. From here on readers wait at what was drawn last.
    -- The setting names the transaction, so that one which is set for a session opens nothing.
    barrier := CASE WHEN current_setting('pgcharter.events_in', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        set_config('pgcharter.events_in', CASE WHEN pg_advisory_xact_lock_shared(
            1885824357, ((coalesce(pg_sequence_last_value('pgcharter.events_position'), 0) << 32) >> 32)::integer
        ) IS NOT NULL THEN pg_current_xact_id()::text END, true) END;
    written_at := clock_timestamp();
    seed := lpad(to_hex((extract(epoch FROM written_at) * 1000)::bigint), 12, '0') || '8' || lpad(to_hex((random() * 4095)::integer), 3, '0');
    kept_in := CASE WHEN to_regclass('pgcharter.events_' || to_char(written_at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL THEN date '1000-01-01'
                    ELSE date_trunc('month', written_at AT TIME ZONE 'UTC')::date END;
    -- An id that nobody gave is of version 8: milliseconds, 12 random bits, the position.
    INSERT INTO pgcharter.events (
        position, month, tenant, aggregate_type, aggregate_id, event_version, event_id, event_type, schema_version, event_data, metadata,
        actor, correlation, causation, created_at
    )
    SELECT u.p, kept_in, whose, aggregate_types[u.a], aggregate_ids[u.a], versions[u.a] + firsts[u.a] + u.o,
           coalesce(u.id, (seed || to_hex((u.p & 4611686018427387903) | -9223372036854775808))::uuid),
           u.type, coalesce(u.schema, 1), u.data, u.notes,
           coalesce(actors[u.a], who), coalesce(correlations[u.a], what), causations[u.a], written_at
      FROM (SELECT nextval('pgcharter.events_position') AS p, coalesce(x.a, 1) AS a, x.type, x.data, x.notes, x.schema, x.id, x.o
              FROM (SELECT unnest(event_types) AS type, unnest(event_data) AS data, unnest(owners) AS a, unnest(metadata) AS notes,
                           unnest(schema_versions) AS schema, unnest(event_ids) AS id, generate_series(1, cardinality(event_types)) AS o) x
             WHERE versions[coalesce(x.a, 1)] IS NOT NULL) u;
    last_position := currval('pgcharter.events_position');
END
$function$;
-- comment on function pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text): nobody waits
COMMENT ON FUNCTION pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text) IS 'Appends events of one aggregate or many, each at the version that it is expected to have';
-- grant on function pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text) TO shop_readwrite;
-- revoke on function pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.append_events(text[], uuid[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text) FROM PUBLIC;
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
-- create function pgcharter.event_heads_moved(text, text[], uuid[], integer[], integer[]): nobody waits
CREATE FUNCTION pgcharter.event_heads_moved(whose text, aggregate_types text[], aggregate_ids uuid[], expected integer[], counts integer[])
 RETURNS integer[]
 LANGUAGE plpgsql
AS $function$
-- Moves heads on, in the order of their keys so that two appends cannot deadlock; new versions, NULL where another one was expected.
DECLARE
    numbers integer[] := '{1}';
    moved integer[];
    i integer;
    now_at integer;
BEGIN
    IF cardinality(aggregate_ids) > 1 THEN
        SELECT array_agg(s ORDER BY aggregate_ids[s], aggregate_types[s] COLLATE "C", s)
          INTO numbers FROM generate_subscripts(aggregate_ids, 1) s;
    END IF;
    FOREACH i IN ARRAY numbers LOOP
        IF expected[i] NOT IN (0, -1) THEN
            UPDATE pgcharter.event_heads h SET version = h.version + counts[i]
             WHERE h.aggregate_id = aggregate_ids[i] AND h.aggregate_type = aggregate_types[i] AND h.tenant = whose
               AND (expected[i] = -2 OR h.version = expected[i])
            RETURNING h.version INTO now_at;
        ELSE
            INSERT INTO pgcharter.event_heads AS h (tenant, aggregate_type, aggregate_id, version)
            VALUES (whose, aggregate_types[i], aggregate_ids[i], counts[i])
                ON CONFLICT ON CONSTRAINT event_heads_pkey
                DO UPDATE SET version = h.version + excluded.version WHERE expected[i] IS DISTINCT FROM 0
            RETURNING h.version INTO now_at;
        END IF;
        moved[i] := now_at;
    END LOOP;
    RETURN moved;
END
$function$;
-- comment on function pgcharter.event_heads_moved(text, text[], uuid[], integer[], integer[]): nobody waits
COMMENT ON FUNCTION pgcharter.event_heads_moved(text, text[], uuid[], integer[], integer[]) IS 'Moves heads on, where they are at the version expected';
-- revoke on function pgcharter.event_heads_moved(text, text[], uuid[], integer[], integer[]): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.event_heads_moved(text, text[], uuid[], integer[], integer[]) FROM PUBLIC;
-- create function pgcharter.events_guard(): nobody waits
CREATE FUNCTION pgcharter.events_guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: what has happened stays as it was told, or whoever has read it knows something else',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
            HINT = 'append an event that corrects it; personal fields are erased with their key; pgcharter events archive takes old months away';
END
$function$;
-- comment on function pgcharter.events_guard(): nobody waits
COMMENT ON FUNCTION pgcharter.events_guard() IS 'Refuses to change what has happened';
-- revoke on function pgcharter.events_guard(): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.events_guard() FROM PUBLIC;
-- create function pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]): nobody waits
CREATE FUNCTION pgcharter.outbox_publish(topics text[], keys text[], payloads text[], datas bytea[], headers text[], ids uuid[], delays double precision[], lives double precision[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    now_at timestamptz := clock_timestamp();
    here text := pg_current_xact_id()::text;
    low int8;
    into_part int2;
    last int8;
    large record;
BEGIN
    -- All of them together, which costs nothing; each by itself where that is much.
    IF coalesce(pg_column_size(topics), 0)::int8 + coalesce(pg_column_size(payloads), 0) + coalesce(pg_column_size(datas), 0)
       + coalesce(pg_column_size(headers), 0) > 16777216 THEN
        SELECT left(m.topic, 200) AS topic,
               octet_length(m.topic)::int8 + coalesce(octet_length(m.payload), octet_length(m.data), 0) + coalesce(octet_length(m.headers), 0) AS size
          INTO large FROM unnest(topics, payloads, datas, headers) m (topic, payload, data, headers) ORDER BY 2 DESC LIMIT 1;
        IF large.size > 16777216 THEN
            RAISE EXCEPTION 'a message of topic % has % bytes, and may have 16777216, so nothing was published', large.topic, large.size
                USING ERRCODE = 'program_limit_exceeded',
                      HINT = 'keep what is large in a table or a store of its own and publish where it is; or message_bytes in [messaging] of pgcharter.toml';
        END IF;
    END IF;
    IF current_setting('pgcharter.outbox_in', true) IS DISTINCT FROM here THEN
        low := coalesce(pg_sequence_last_value('pgcharter.outbox_position'::regclass), 0);
        PERFORM pg_advisory_xact_lock_shared(1885824358, ((low << 32) >> 32)::int4);
        PERFORM set_config('pgcharter.outbox_in', here, true);
    END IF;
    into_part := coalesce(pg_sequence_last_value('pgcharter.outbox_turn'::regclass), 0);
    WITH put AS (
    INSERT INTO pgcharter.outbox (position, part, message_id, topic, key, payload, data, headers, tenant, actor, correlation, created_at,
                                       due_at, expires_at)
    SELECT nextval('pgcharter.outbox_position'::regclass), into_part, coalesce(m.id, gen_random_uuid()), m.topic, m.key,
           m.payload::json::text, m.data, m.headers::jsonb,
           coalesce(current_setting('pgcharter.tenant', true), ''), nullif(current_setting('pgcharter.actor', true), ''),
           nullif(current_setting('pgcharter.correlation', true), ''), now_at,
           now_at + m.delay * interval '1 s', now_at + m.life * interval '1 s'
      FROM unnest(topics, keys, payloads, datas, headers, ids, delays, lives) m (topic, key, payload, data, headers, id, delay, life)
    RETURNING position)
    SELECT max(position) INTO last FROM put;
    RETURN last;
END
$function$;
-- comment on function pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]): nobody waits
COMMENT ON FUNCTION pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]) IS 'Publishes messages in the transaction; the two last arguments are seconds until they are due and until they expire';
-- grant on function pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]) TO shop_readwrite;
-- revoke on function pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.outbox_publish(text[], text[], text[], bytea[], text[], uuid[], double precision[], double precision[]) FROM PUBLIC;
-- create function pgcharter.outbox_rotate(bigint): nobody waits
CREATE FUNCTION pgcharter.outbox_rotate(full_bytes bigint)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    filled int4 := coalesce(pg_sequence_last_value('pgcharter.outbox_turn'::regclass), 0);
    one record;
    highest int8;
    passed int8;
    emptied int4 := 0;
    next_one int4;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a transaction that is % reads what was there when it began, so what others have passed since it may not see',
            current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state', HINT = 'rotate in a transaction that is READ COMMITTED';
    END IF;
    IF NOT pg_try_advisory_xact_lock(1885824365, 0) THEN
        RETURN 0;
    END IF;
    FOR one IN
        SELECT c.oid, c.oid::regclass::text AS name, substring(c.relname FROM '[0-9]+$')::int4 AS part
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'pgcharter.outbox'::regclass ORDER BY 3
    LOOP
        IF one.part = filled OR pg_relation_size(one.oid) = 0 THEN
            CONTINUE;
        END IF;
        BEGIN
            -- NOWAIT: nobody ever stands in line behind it. Whoever still may write into the part holds a lock on it, prepared or not.
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE NOWAIT', one.name);
            -- Statements of their own, with snapshots from after the lock: all that was appended to the part is committed, and seen.
            EXECUTE format('SELECT max(position) FROM %s', one.name) INTO highest;
            SELECT min(f.position) INTO passed FROM pgcharter.feeds f WHERE f.log = 'outbox';
            IF highest IS NULL OR highest <= passed THEN
                EXECUTE format('TRUNCATE ONLY %s', one.name);
                INSERT INTO pgcharter.logs AS l (log, kept_from) VALUES ('outbox', coalesce(highest, 0))
                ON CONFLICT (log) DO UPDATE SET kept_from = greatest(l.kept_from, excluded.kept_from);
                emptied := emptied + 1;
            ELSE
                RAISE EXCEPTION USING ERRCODE = 'PGCH0';
            END IF;
        EXCEPTION WHEN lock_not_available OR SQLSTATE 'PGCH0' THEN
            NULL;  -- the lock goes with the savepoint: the part is looked at again the next time
        END;
    END LOOP;
    IF pg_relation_size(format('pgcharter.outbox_%s', filled)::regclass) >= full_bytes THEN
        SELECT p.part INTO next_one
          FROM (SELECT c.oid, substring(c.relname FROM '[0-9]+$')::int4 AS part
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'pgcharter.outbox'::regclass) p
         WHERE p.part <> filled AND pg_relation_size(p.oid) = 0
         ORDER BY p.part < filled, p.part LIMIT 1;
        IF next_one IS NOT NULL THEN
            PERFORM setval('pgcharter.outbox_turn'::regclass, next_one);
        END IF;
    END IF;
    RETURN emptied;
END
$function$;
-- comment on function pgcharter.outbox_rotate(bigint): nobody waits
COMMENT ON FUNCTION pgcharter.outbox_rotate(bigint) IS 'Empties parts of outbox that every consumer has passed, and turns to the next one where this one is full; how many it emptied';
-- grant on function pgcharter.outbox_rotate(bigint): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.outbox_rotate(bigint) TO shop_worker;
-- revoke on function pgcharter.outbox_rotate(bigint): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.outbox_rotate(bigint) FROM PUBLIC;
-- create function pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]): nobody waits
CREATE FUNCTION pgcharter.saga_claim(owner text, lease interval, types text[], versions integer[], most integer, busy uuid[])
 RETURNS SETOF jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    taken uuid[];
    until timestamptz := clock_timestamp();
BEGIN
    -- 1. Wake sagas that have been told something. What is locked is looked at again the next time.
    WITH fresh AS (
        SELECT s.signal_id, s.saga_id FROM pgcharter.saga_signals s WHERE NOT s.seen ORDER BY s.sent_at LIMIT 500 FOR UPDATE SKIP LOCKED
    ), home AS (
        SELECT i.saga_id FROM pgcharter.saga_instances i WHERE i.saga_id IN (SELECT f.saga_id FROM fresh f) FOR NO KEY UPDATE SKIP LOCKED
    ), woken AS (
        UPDATE pgcharter.saga_instances i
           SET signals = i.signals + 1, next_at = CASE WHEN i.lease_owner IS NULL THEN until ELSE i.next_at END
          FROM home h WHERE i.saga_id = h.saga_id
        RETURNING i.saga_id
    )
    UPDATE pgcharter.saga_signals s SET seen = true
      FROM fresh f JOIN woken w ON w.saga_id = f.saga_id WHERE s.signal_id = f.signal_id;
    -- 2. Lock what is due, and lease it.
    SELECT array_agg(x.saga_id) INTO taken
      FROM (SELECT c.saga_id
              FROM unnest(types, versions) d(type, version)
             CROSS JOIN LATERAL (
                   SELECT i.saga_id
                     FROM pgcharter.saga_instances i
                    WHERE i.saga_type = d.type AND i.definition_version = d.version AND i.next_at <= until AND i.saga_id <> ALL (busy)
                    ORDER BY i.next_at LIMIT most
                      FOR NO KEY UPDATE SKIP LOCKED) c
             LIMIT most) x;
    IF taken IS NULL THEN
        RETURN;
    END IF;
    until := clock_timestamp() + lease;
    UPDATE pgcharter.saga_instances i
       SET lease_owner = owner, lease_until = until, next_at = until, fencing_token = i.fencing_token + 1
     WHERE i.saga_id = ANY (taken);
    -- 3. Read them in a statement that comes after the locks: what the one before has written is seen whole.
    RETURN QUERY
        SELECT to_jsonb(i) || jsonb_build_object(
                   'deadline_in', extract(epoch FROM i.deadline - clock_timestamp()),
                   'steps', (SELECT coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('due_in', extract(epoch FROM s.next_at - clock_timestamp()))), '[]')
                               FROM pgcharter.saga_steps s WHERE s.saga_id = i.saga_id),
                   'letters', (SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY l.sent_at, l.signal_id), '[]')
                                 FROM pgcharter.saga_signals l WHERE l.saga_id = i.saga_id AND l.taken_at IS NULL))
          FROM pgcharter.saga_instances i WHERE i.saga_id = ANY (taken) ORDER BY i.created_at, i.saga_id;
END
$function$;
-- comment on function pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]): nobody waits
COMMENT ON FUNCTION pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]) IS 'Leases sagas that are due';
-- grant on function pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]) TO shop_worker;
-- revoke on function pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.saga_claim(text, interval, text[], integer[], integer, uuid[]) FROM PUBLIC;
-- create function pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text): nobody waits
CREATE FUNCTION pgcharter.saga_signal(given uuid, saga uuid, type text, key text, kind text, name text, payload jsonb, actor text, reason text)
 RETURNS uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_variable
-- The saga, by its id or its type and business key; NULL: this tenant has none. Its row is not written: no signal waits for a worker.
DECLARE
    own text := coalesce(current_setting('pgcharter.tenant', true), '');
    found uuid;
BEGIN
    SELECT i.saga_id INTO found
      FROM pgcharter.saga_instances i
     WHERE i.tenant = own AND (i.saga_id = saga OR saga IS NULL AND i.saga_type = type AND i.business_key = key);
    IF found IS NOT NULL THEN
        INSERT INTO pgcharter.saga_signals (signal_id, saga_id, tenant, kind, name, payload, actor, reason)
        VALUES (given, found, own, kind, name, payload, actor, reason)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN found;
END
$function$;
-- comment on function pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text): nobody waits
COMMENT ON FUNCTION pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text) IS 'Tells a saga something';
-- grant on function pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text) TO shop_readwrite;
-- grant on function pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text) TO shop_worker;
-- revoke on function pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.saga_signal(uuid, uuid, text, text, text, text, jsonb, text, text) FROM PUBLIC;
-- create function pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval): nobody waits
CREATE FUNCTION pgcharter.saga_start(given uuid, type text, version integer, data jsonb, key text, correlated text, within interval, after interval)
 RETURNS TABLE(id uuid, made boolean, state text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    own text := coalesce(current_setting('pgcharter.tenant', true), '');
BEGIN
    INSERT INTO pgcharter.saga_instances AS i
           (saga_id, tenant, saga_type, definition_version, business_key, saga_data, correlation, next_at, deadline)
    VALUES (given, own, type, version, key, data, correlated, clock_timestamp() + coalesce(after, '0'), clock_timestamp() + within)
        ON CONFLICT DO NOTHING
    RETURNING i.saga_id, true, i.status INTO id, made, state;
    IF NOT FOUND THEN
        SELECT i.saga_id, false, i.status INTO id, made, state
          FROM pgcharter.saga_instances i
         WHERE i.tenant = own AND i.saga_type = type AND (i.business_key = key OR i.saga_id = given)
         ORDER BY (i.business_key = key) IS TRUE DESC LIMIT 1;
    END IF;
    IF id IS NULL THEN
        IF EXISTS (SELECT FROM pgcharter.saga_instances i WHERE i.saga_id = given) THEN
            RAISE EXCEPTION 'a saga % cannot have id %, which is another one''s', type, given USING ERRCODE = 'unique_violation';
        END IF;
        -- Its transaction has ended since this one's snapshot was taken.
        RAISE EXCEPTION 'a saga % with this key was started after this transaction began to read', type USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEXT;
END
$function$;
-- comment on function pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval): nobody waits
COMMENT ON FUNCTION pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval) IS 'Starts a saga, or finds the one with its business key';
-- grant on function pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval) TO shop_readwrite;
-- grant on function pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval) TO shop_worker;
-- revoke on function pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.saga_start(uuid, text, integer, jsonb, text, text, interval, interval) FROM PUBLIC;
-- create function pgcharter.settled(text): nobody waits
CREATE FUNCTION pgcharter.settled(log text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    of_log int8 := CASE log WHEN 'events' THEN 1885824357 WHEN 'outbox' THEN 1885824358 END;
    numbers regclass := to_regclass(CASE log WHEN 'events' THEN 'pgcharter.events_position' WHEN 'outbox' THEN 'pgcharter.outbox_position' END);
    high int8;
    seen int8;
    held int8[];
BEGIN
    IF numbers IS NULL THEN
        RAISE EXCEPTION 'there is no log % in this database, so nothing of it is settled', quote_literal(log)
            USING ERRCODE = 'undefined_object', HINT = 'write its part in [messaging] of the charter, and pgcharter policy apply';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby, which does not know who is appending to log %, so it cannot say what is settled', log
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'ask the primary';
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a transaction that is % reads what was there when it began, so what is settled in log % now it may not see',
            current_setting('transaction_isolation'), log
            USING ERRCODE = 'invalid_transaction_state', HINT = 'ask in a transaction that is READ COMMITTED';
    END IF;
    -- Each statement comes after the one before it: whoever is not seen to hold a lock draws positions above `high`.
    high := coalesce(pg_sequence_last_value(numbers), 0);
    SELECT array_agg(l.objid::int8) INTO held
      FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.classid::int8 = of_log AND l.objsubid = 2
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    IF held IS NULL THEN
        RETURN high;
    END IF;
    -- A lock has the low half of a position that was drawn before; all of them are at most what is drawn last now.
    seen := pg_sequence_last_value(numbers);
    RETURN (SELECT least(high, min(seen - (((seen & 4294967295) - low + 4294967296) & 4294967295))) FROM unnest(held) low);
END
$function$;
-- comment on function pgcharter.settled(text): nobody waits
COMMENT ON FUNCTION pgcharter.settled(text) IS 'Position of a log up to which nobody can append any more; read that in a statement of its own';
-- grant on function pgcharter.settled(text): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.settled(text) TO shop_readwrite;
-- grant on function pgcharter.settled(text): nobody waits
GRANT EXECUTE ON FUNCTION pgcharter.settled(text) TO shop_worker;
-- revoke on function pgcharter.settled(text): nobody waits
REVOKE EXECUTE ON FUNCTION pgcharter.settled(text) FROM PUBLIC;
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
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
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
-- create table pgcharter.event_heads: nobody waits
CREATE TABLE pgcharter.event_heads (tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, version integer NOT NULL, archived integer DEFAULT 0 NOT NULL, CONSTRAINT event_heads_key_check CHECK (((octet_length(aggregate_type) >= 1) AND (octet_length(aggregate_type) <= 200))), CONSTRAINT event_heads_pkey PRIMARY KEY (aggregate_id, aggregate_type, tenant)) WITH (fillfactor=70);
-- set up table pgcharter.event_heads: nobody waits
ALTER TABLE pgcharter.event_heads ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.event_heads: nobody waits
ALTER TABLE pgcharter.event_heads FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.event_heads: nobody waits
COMMENT ON COLUMN pgcharter.event_heads.version IS 'of its last event';
-- comment on table pgcharter.event_heads: nobody waits
COMMENT ON COLUMN pgcharter.event_heads.archived IS 'versions up to this one are not all in events any more';
-- comment on table pgcharter.event_heads: nobody waits
COMMENT ON TABLE pgcharter.event_heads IS 'The version of each aggregate';
-- grant on table pgcharter.event_heads: nobody waits
GRANT SELECT ON TABLE pgcharter.event_heads TO shop_readwrite;
-- grant on table pgcharter.event_heads: nobody waits
GRANT SELECT ON TABLE pgcharter.event_heads TO shop_worker;
-- create table pgcharter.event_snapshots: nobody waits
CREATE TABLE pgcharter.event_snapshots (tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, version integer NOT NULL, snapshot_type text NOT NULL, schema_version integer NOT NULL, data jsonb NOT NULL, created_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT event_snapshots_key_check CHECK (((octet_length(aggregate_type) >= 1) AND (octet_length(aggregate_type) <= 200))), CONSTRAINT event_snapshots_pkey PRIMARY KEY (aggregate_id, aggregate_type, tenant));
-- set up table pgcharter.event_snapshots: nobody waits
ALTER TABLE pgcharter.event_snapshots ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.event_snapshots: nobody waits
ALTER TABLE pgcharter.event_snapshots FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.event_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.event_snapshots.version IS 'what it stands for: all events up to this one';
-- comment on table pgcharter.event_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.event_snapshots.schema_version IS 'form of data';
-- comment on table pgcharter.event_snapshots: nobody waits
COMMENT ON TABLE pgcharter.event_snapshots IS 'The last snapshot of each aggregate, so that fewer events are read';
-- grant on table pgcharter.event_snapshots: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.event_snapshots TO shop_readwrite;
-- grant on table pgcharter.event_snapshots: nobody waits
GRANT SELECT ON TABLE pgcharter.event_snapshots TO shop_worker;
-- create table pgcharter.events: nobody waits
CREATE TABLE pgcharter.events ("position" bigint NOT NULL, month date NOT NULL, tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_version integer NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, schema_version integer NOT NULL, event_data jsonb NOT NULL, metadata jsonb, actor text, correlation text, causation text, created_at timestamp with time zone NOT NULL, CONSTRAINT events_pkey PRIMARY KEY (aggregate_id, event_version, aggregate_type, tenant, month), CONSTRAINT events_version_positive CHECK ((event_version > 0))) PARTITION BY RANGE (month);
-- set up table pgcharter.events: nobody waits
ALTER TABLE pgcharter.events ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.events: nobody waits
ALTER TABLE pgcharter.events FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events."position" IS 'place in the order of all events; what is settled never gets another one before it';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.month IS 'first day of the month of created_at, in UTC; 1000-01-01 where no partition was there for it';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.tenant IS 'tenant of the transaction; empty: it had none';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.aggregate_type IS 'what it happened to: order';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.aggregate_id IS 'which one';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.event_version IS '1, 2, 3 … without a gap in each aggregate';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.event_type IS 'what happened: order-placed';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.schema_version IS 'form of event_data';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.actor IS 'who did it: pgcharter.actor';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.correlation IS 'what it belongs to: pgcharter.correlation';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.causation IS 'event or command that it follows from';
-- comment on table pgcharter.events: nobody waits
COMMENT ON COLUMN pgcharter.events.created_at IS 'when it was appended';
-- comment on table pgcharter.events: nobody waits
COMMENT ON TABLE pgcharter.events IS 'Event store for event sourcing; nobody changes or deletes what is in here, and pgcharter.append_events alone adds to it';
-- grant on table pgcharter.events: nobody waits
GRANT SELECT ON TABLE pgcharter.events TO shop_readwrite;
-- grant on table pgcharter.events: nobody waits
GRANT SELECT ON TABLE pgcharter.events TO shop_worker;
-- create table pgcharter.events_2026_11: nobody waits
CREATE TABLE pgcharter.events_2026_11 ("position" bigint NOT NULL, month date NOT NULL, tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_version integer NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, schema_version integer NOT NULL, event_data jsonb NOT NULL, metadata jsonb, actor text, correlation text, causation text, created_at timestamp with time zone NOT NULL, CONSTRAINT events_2026_11_pkey PRIMARY KEY (aggregate_id, event_version, aggregate_type, tenant, month), CONSTRAINT events_version_positive CHECK ((event_version > 0)));
-- set up table pgcharter.events_2026_11: nobody waits
ALTER TABLE pgcharter.events ATTACH PARTITION pgcharter.events_2026_11 FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
-- create table pgcharter.events_2026_12: nobody waits
CREATE TABLE pgcharter.events_2026_12 ("position" bigint NOT NULL, month date NOT NULL, tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_version integer NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, schema_version integer NOT NULL, event_data jsonb NOT NULL, metadata jsonb, actor text, correlation text, causation text, created_at timestamp with time zone NOT NULL, CONSTRAINT events_2026_12_pkey PRIMARY KEY (aggregate_id, event_version, aggregate_type, tenant, month), CONSTRAINT events_version_positive CHECK ((event_version > 0)));
-- set up table pgcharter.events_2026_12: nobody waits
ALTER TABLE pgcharter.events ATTACH PARTITION pgcharter.events_2026_12 FOR VALUES FROM ('2026-12-01') TO ('2027-01-01');
-- create table pgcharter.events_2027_01: nobody waits
CREATE TABLE pgcharter.events_2027_01 ("position" bigint NOT NULL, month date NOT NULL, tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_version integer NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, schema_version integer NOT NULL, event_data jsonb NOT NULL, metadata jsonb, actor text, correlation text, causation text, created_at timestamp with time zone NOT NULL, CONSTRAINT events_2027_01_pkey PRIMARY KEY (aggregate_id, event_version, aggregate_type, tenant, month), CONSTRAINT events_version_positive CHECK ((event_version > 0)));
-- set up table pgcharter.events_2027_01: nobody waits
ALTER TABLE pgcharter.events ATTACH PARTITION pgcharter.events_2027_01 FOR VALUES FROM ('2027-01-01') TO ('2027-02-01');
-- create table pgcharter.events_2027_02: nobody waits
CREATE TABLE pgcharter.events_2027_02 ("position" bigint NOT NULL, month date NOT NULL, tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_version integer NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, schema_version integer NOT NULL, event_data jsonb NOT NULL, metadata jsonb, actor text, correlation text, causation text, created_at timestamp with time zone NOT NULL, CONSTRAINT events_2027_02_pkey PRIMARY KEY (aggregate_id, event_version, aggregate_type, tenant, month), CONSTRAINT events_version_positive CHECK ((event_version > 0)));
-- set up table pgcharter.events_2027_02: nobody waits
ALTER TABLE pgcharter.events ATTACH PARTITION pgcharter.events_2027_02 FOR VALUES FROM ('2027-02-01') TO ('2027-03-01');
-- create table pgcharter.events_unplaced: nobody waits
CREATE TABLE pgcharter.events_unplaced ("position" bigint NOT NULL, month date NOT NULL, tenant text NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_version integer NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, schema_version integer NOT NULL, event_data jsonb NOT NULL, metadata jsonb, actor text, correlation text, causation text, created_at timestamp with time zone NOT NULL, CONSTRAINT events_unplaced_pkey PRIMARY KEY (aggregate_id, event_version, aggregate_type, tenant, month), CONSTRAINT events_version_positive CHECK ((event_version > 0)));
-- set up table pgcharter.events_unplaced: nobody waits
ALTER TABLE pgcharter.events ATTACH PARTITION pgcharter.events_unplaced FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
-- create table pgcharter.evidence: nobody waits
CREATE TABLE pgcharter.evidence (name text NOT NULL, proven_at timestamp with time zone NOT NULL, holds boolean NOT NULL, seen text NOT NULL, counts_until timestamp with time zone, facts jsonb DEFAULT '{}'::jsonb NOT NULL, recorded_by text DEFAULT SESSION_USER NOT NULL, created_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT evidence_in_order CHECK ((counts_until > proven_at)), CONSTRAINT evidence_pkey PRIMARY KEY (name, proven_at));
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.name IS 'what was proven, as clauses of guides name it: backup.drill';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.proven_at IS 'when it was seen';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.holds IS 'whether it is as it should be';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.seen IS 'what was seen, with figures';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.counts_until IS 'from then on it proves nothing; NULL: until something newer is known';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.facts IS 'what the verdict rests on';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON COLUMN pgcharter.evidence.recorded_by IS 'who recorded it';
-- comment on table pgcharter.evidence: nobody waits
COMMENT ON TABLE pgcharter.evidence IS 'What checks, drills and probes have proven, with its date';
-- grant on table pgcharter.evidence: nobody waits
GRANT SELECT ON TABLE pgcharter.evidence TO shop_readonly;
-- create table pgcharter.feeds: nobody waits
CREATE TABLE pgcharter.feeds (consumer text NOT NULL, slot integer NOT NULL, slots integer NOT NULL, log text NOT NULL, "position" bigint NOT NULL, state text DEFAULT 'running'::text NOT NULL, token bigint DEFAULT 0 NOT NULL, owner text, leased_at timestamp with time zone, lease_until timestamp with time zone, asked_by text, asked_until timestamp with time zone, moved_at timestamp with time zone DEFAULT now() NOT NULL, was_slots integer, was bigint[], error text, CONSTRAINT feeds_pkey PRIMARY KEY (consumer, slot), CONSTRAINT feeds_slot_check CHECK (((slot >= 0) AND (slot < slots))), CONSTRAINT feeds_state_check CHECK ((state = ANY (ARRAY['running'::text, 'paused'::text, 'stale'::text])))) WITH (fillfactor=30);
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.slot IS 'part of the keys that this cursor is for: 0 to slots - 1';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.slots IS 'parts that the keys are spread over; the same in all rows of a consumer';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.log IS 'events or outbox';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds."position" IS 'all messages of its keys up to this one are done, or parked';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.state IS 'running, paused, or stale: what it would read next has been archived';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.token IS 'grows with every lease; whoever has another one can move nothing';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.owner IS 'worker that holds the lease';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.asked_by IS 'worker without enough slots, which is to get this one';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.was_slots IS 'slots before the number of slots was changed, until this cursor is past all of theirs';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.was IS 'their positions: what is up to them was done then';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON COLUMN pgcharter.feeds.error IS 'what keeps it from going on';
-- comment on table pgcharter.feeds: nobody waits
COMMENT ON TABLE pgcharter.feeds IS 'Cursors of whoever reads a log in order';
-- grant on table pgcharter.feeds: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.feeds TO shop_worker;
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
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
-- create table pgcharter.inbox: nobody waits
CREATE TABLE pgcharter.inbox (consumer text NOT NULL, message_id text NOT NULL, seen_at timestamp with time zone DEFAULT now() NOT NULL, tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, CONSTRAINT inbox_pkey PRIMARY KEY (consumer, message_id, tenant));
-- set up table pgcharter.inbox: nobody waits
ALTER TABLE pgcharter.inbox ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.inbox: nobody waits
ALTER TABLE pgcharter.inbox FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.inbox: nobody waits
COMMENT ON COLUMN pgcharter.inbox.tenant IS 'tenant of the transaction; empty: it had none, as that of a worker';
-- comment on table pgcharter.inbox: nobody waits
COMMENT ON TABLE pgcharter.inbox IS 'Messages that a consumer has seen, so that a repetition does nothing';
-- grant on table pgcharter.inbox: nobody waits
GRANT SELECT, INSERT ON TABLE pgcharter.inbox TO shop_readwrite;
-- grant on table pgcharter.inbox: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.inbox TO shop_worker;
-- create table pgcharter.key_jobs: nobody waits
CREATE TABLE pgcharter.key_jobs (job text NOT NULL, "position" jsonb NOT NULL, updated_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT key_jobs_pkey PRIMARY KEY (job));
-- comment on table pgcharter.key_jobs: nobody waits
COMMENT ON TABLE pgcharter.key_jobs IS 'Jobs that encrypt or re-encrypt a column: how far each has come, written with its rows';
-- create table pgcharter.logs: nobody waits
CREATE TABLE pgcharter.logs (log text NOT NULL, kept_from bigint DEFAULT 0 NOT NULL, CONSTRAINT logs_pkey PRIMARY KEY (log));
-- comment on table pgcharter.logs: nobody waits
COMMENT ON COLUMN pgcharter.logs.log IS 'events or outbox';
-- comment on table pgcharter.logs: nobody waits
COMMENT ON COLUMN pgcharter.logs.kept_from IS 'positions up to this one are not all in the table any more';
-- comment on table pgcharter.logs: nobody waits
COMMENT ON TABLE pgcharter.logs IS 'How far logs have been archived or emptied';
-- grant on table pgcharter.logs: nobody waits
GRANT SELECT ON TABLE pgcharter.logs TO shop_worker;
-- create table pgcharter.outbox: nobody waits
CREATE TABLE pgcharter.outbox ("position" bigint NOT NULL, part smallint NOT NULL, message_id uuid NOT NULL, topic text NOT NULL, key text, payload text, data bytea, headers jsonb, tenant text NOT NULL, actor text, correlation text, created_at timestamp with time zone NOT NULL, due_at timestamp with time zone, expires_at timestamp with time zone, CONSTRAINT outbox_key_check CHECK ((octet_length(key) <= 1000)), CONSTRAINT outbox_payload_check CHECK ((num_nonnulls(payload, data) = 1)), CONSTRAINT outbox_pkey PRIMARY KEY ("position", part)) PARTITION BY LIST (part);
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox."position" IS 'order of publishing; with gaps where transactions were rolled back';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.part IS 'part of the ring it is in';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.message_id IS 'tells repetitions by: the same in every delivery';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.topic IS 'what it is about, and by which routes are chosen';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.key IS 'messages of one key are delivered in their order; NULL: in any';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.payload IS 'JSON as it was written';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.data IS 'bytes, where it is no JSON';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.headers IS 'texts by name that go with it';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.tenant IS 'tenant of the transaction; empty: it had none';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.actor IS 'who used the application';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.correlation IS 'what it belongs to';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.created_at IS 'when it was published; its transaction was committed later';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.due_at IS 'not delivered before; later ones of its key wait with it';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON COLUMN pgcharter.outbox.expires_at IS 'not delivered any more from then on';
-- comment on table pgcharter.outbox: nobody waits
COMMENT ON TABLE pgcharter.outbox IS 'Messages to others, delivered by relays; emptied part by part';
-- grant on table pgcharter.outbox: nobody waits
GRANT SELECT ON TABLE pgcharter.outbox TO shop_worker;
-- create table pgcharter.outbox_0: nobody waits
CREATE TABLE pgcharter.outbox_0 ("position" bigint NOT NULL, part smallint NOT NULL, message_id uuid NOT NULL, topic text NOT NULL, key text, payload text, data bytea, headers jsonb, tenant text NOT NULL, actor text, correlation text, created_at timestamp with time zone NOT NULL, due_at timestamp with time zone, expires_at timestamp with time zone, CONSTRAINT outbox_0_pkey PRIMARY KEY ("position", part), CONSTRAINT outbox_key_check CHECK ((octet_length(key) <= 1000)), CONSTRAINT outbox_payload_check CHECK ((num_nonnulls(payload, data) = 1)));
-- set up table pgcharter.outbox_0: nobody waits
ALTER TABLE pgcharter.outbox ATTACH PARTITION pgcharter.outbox_0 FOR VALUES IN ('0');
-- create table pgcharter.outbox_1: nobody waits
CREATE TABLE pgcharter.outbox_1 ("position" bigint NOT NULL, part smallint NOT NULL, message_id uuid NOT NULL, topic text NOT NULL, key text, payload text, data bytea, headers jsonb, tenant text NOT NULL, actor text, correlation text, created_at timestamp with time zone NOT NULL, due_at timestamp with time zone, expires_at timestamp with time zone, CONSTRAINT outbox_1_pkey PRIMARY KEY ("position", part), CONSTRAINT outbox_key_check CHECK ((octet_length(key) <= 1000)), CONSTRAINT outbox_payload_check CHECK ((num_nonnulls(payload, data) = 1)));
-- set up table pgcharter.outbox_1: nobody waits
ALTER TABLE pgcharter.outbox ATTACH PARTITION pgcharter.outbox_1 FOR VALUES IN ('1');
-- create table pgcharter.outbox_2: nobody waits
CREATE TABLE pgcharter.outbox_2 ("position" bigint NOT NULL, part smallint NOT NULL, message_id uuid NOT NULL, topic text NOT NULL, key text, payload text, data bytea, headers jsonb, tenant text NOT NULL, actor text, correlation text, created_at timestamp with time zone NOT NULL, due_at timestamp with time zone, expires_at timestamp with time zone, CONSTRAINT outbox_2_pkey PRIMARY KEY ("position", part), CONSTRAINT outbox_key_check CHECK ((octet_length(key) <= 1000)), CONSTRAINT outbox_payload_check CHECK ((num_nonnulls(payload, data) = 1)));
-- set up table pgcharter.outbox_2: nobody waits
ALTER TABLE pgcharter.outbox ATTACH PARTITION pgcharter.outbox_2 FOR VALUES IN ('2');
-- create table pgcharter.outbox_3: nobody waits
CREATE TABLE pgcharter.outbox_3 ("position" bigint NOT NULL, part smallint NOT NULL, message_id uuid NOT NULL, topic text NOT NULL, key text, payload text, data bytea, headers jsonb, tenant text NOT NULL, actor text, correlation text, created_at timestamp with time zone NOT NULL, due_at timestamp with time zone, expires_at timestamp with time zone, CONSTRAINT outbox_3_pkey PRIMARY KEY ("position", part), CONSTRAINT outbox_key_check CHECK ((octet_length(key) <= 1000)), CONSTRAINT outbox_payload_check CHECK ((num_nonnulls(payload, data) = 1)));
-- set up table pgcharter.outbox_3: nobody waits
ALTER TABLE pgcharter.outbox ATTACH PARTITION pgcharter.outbox_3 FOR VALUES IN ('3');
-- create table pgcharter.outbox_routes: nobody waits
CREATE TABLE pgcharter.outbox_routes (route text NOT NULL, topics text[] NOT NULL, declared_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT outbox_routes_pkey PRIMARY KEY (route));
-- comment on table pgcharter.outbox_routes: nobody waits
COMMENT ON COLUMN pgcharter.outbox_routes.route IS 'as it is called in feeds';
-- comment on table pgcharter.outbox_routes: nobody waits
COMMENT ON COLUMN pgcharter.outbox_routes.topics IS 'patterns of what it wants; * stands for any text';
-- comment on table pgcharter.outbox_routes: nobody waits
COMMENT ON TABLE pgcharter.outbox_routes IS 'Topics that routes of outbox want, as they said when they last ran';
-- grant on table pgcharter.outbox_routes: nobody waits
GRANT SELECT, INSERT, UPDATE ON TABLE pgcharter.outbox_routes TO shop_worker;
-- create table pgcharter.parked: nobody waits
CREATE TABLE pgcharter.parked (consumer text NOT NULL, key text NOT NULL, "position" bigint NOT NULL, state text NOT NULL, attempts integer DEFAULT 0 NOT NULL, due_at timestamp with time zone, parked_at timestamp with time zone DEFAULT now() NOT NULL, failed_at timestamp with time zone, error text, message jsonb NOT NULL, CONSTRAINT parked_pkey PRIMARY KEY (consumer, key, "position"), CONSTRAINT parked_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'dead'::text, 'behind'::text]))));
-- comment on table pgcharter.parked: nobody waits
COMMENT ON COLUMN pgcharter.parked.key IS 'key that failed: its messages wait here, all others go on';
-- comment on table pgcharter.parked: nobody waits
COMMENT ON COLUMN pgcharter.parked.state IS 'waiting: tried again when due; dead: until a person decides; behind: after another one of its key';
-- comment on table pgcharter.parked: nobody waits
COMMENT ON COLUMN pgcharter.parked.failed_at IS 'first failure';
-- comment on table pgcharter.parked: nobody waits
COMMENT ON COLUMN pgcharter.parked.error IS 'last failure';
-- comment on table pgcharter.parked: nobody waits
COMMENT ON COLUMN pgcharter.parked.message IS 'row of the log, which may be gone by the time it is tried again';
-- comment on table pgcharter.parked: nobody waits
COMMENT ON TABLE pgcharter.parked IS 'Messages that failed, and those of their keys that came after them';
-- grant on table pgcharter.parked: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.parked TO shop_worker;
-- create table pgcharter.projections: nobody waits
CREATE TABLE pgcharter.projections (name text NOT NULL, version integer, mode text NOT NULL, live_at timestamp with time zone, building integer, "position" bigint, token bigint DEFAULT 0 NOT NULL, building_since timestamp with time zone, CONSTRAINT projections_mode_check CHECK ((mode = ANY (ARRAY['inline'::text, 'async'::text]))), CONSTRAINT projections_pkey PRIMARY KEY (name));
-- comment on table pgcharter.projections: nobody waits
COMMENT ON COLUMN pgcharter.projections.version IS 'of the handler that the tables are by; NULL: they were never filled';
-- comment on table pgcharter.projections: nobody waits
COMMENT ON COLUMN pgcharter.projections.mode IS 'inline: in the transaction that appends; async: a moment later';
-- comment on table pgcharter.projections: nobody waits
COMMENT ON COLUMN pgcharter.projections.live_at IS 'when that version went live';
-- comment on table pgcharter.projections: nobody waits
COMMENT ON COLUMN pgcharter.projections.building IS 'version that is being made beside it';
-- comment on table pgcharter.projections: nobody waits
COMMENT ON COLUMN pgcharter.projections."position" IS 'events up to this one are in what is being made';
-- comment on table pgcharter.projections: nobody waits
COMMENT ON COLUMN pgcharter.projections.token IS 'grows with every beginning: whoever has another one can write nothing more';
-- comment on table pgcharter.projections: nobody waits
COMMENT ON TABLE pgcharter.projections IS 'Tables that are made from events';
-- grant on table pgcharter.projections: nobody waits
GRANT SELECT ON TABLE pgcharter.projections TO shop_readwrite;
-- grant on table pgcharter.projections: nobody waits
GRANT SELECT, INSERT, UPDATE ON TABLE pgcharter.projections TO shop_worker;
-- create table pgcharter.saga_history: nobody waits
CREATE TABLE pgcharter.saga_history (entry_id uuid DEFAULT gen_random_uuid() NOT NULL, saga_id uuid NOT NULL, tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, happened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL, step_number integer, event text NOT NULL, attempt integer, message text, actor text, worker text, CONSTRAINT saga_history_pkey PRIMARY KEY (entry_id));
-- set up table pgcharter.saga_history: nobody waits
ALTER TABLE pgcharter.saga_history ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.saga_history: nobody waits
ALTER TABLE pgcharter.saga_history FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.saga_history: nobody waits
COMMENT ON COLUMN pgcharter.saga_history.tenant IS 'tenant of the transaction that started it; empty: it had none';
-- comment on table pgcharter.saga_history: nobody waits
COMMENT ON COLUMN pgcharter.saga_history.event IS 'failed, lost, turned, undo failed, stuck, asked, refused';
-- comment on table pgcharter.saga_history: nobody waits
COMMENT ON COLUMN pgcharter.saga_history.actor IS 'who asked';
-- comment on table pgcharter.saga_history: nobody waits
COMMENT ON TABLE pgcharter.saga_history IS 'Attempts of sagas that failed, and what persons asked for';
-- grant on table pgcharter.saga_history: nobody waits
GRANT SELECT ON TABLE pgcharter.saga_history TO shop_readwrite;
-- grant on table pgcharter.saga_history: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.saga_history TO shop_worker;
-- create table pgcharter.saga_instances: nobody waits
CREATE TABLE pgcharter.saga_instances (saga_id uuid DEFAULT gen_random_uuid() NOT NULL, tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, saga_type text NOT NULL, definition_version integer NOT NULL, business_key text, status text DEFAULT 'started'::text NOT NULL, current_step integer DEFAULT 0 NOT NULL, saga_data jsonb NOT NULL, compensation_data jsonb, result jsonb, error text, round integer DEFAULT 0 NOT NULL, waiting text, stuck_at timestamp with time zone, next_at timestamp with time zone, deadline timestamp with time zone, lease_owner text, lease_until timestamp with time zone, fencing_token bigint DEFAULT 0 NOT NULL, signals integer DEFAULT 0 NOT NULL, parent_id uuid, parent_step integer, correlation text, created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL, updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL, completed_at timestamp with time zone, CONSTRAINT chk_current_step_positive CHECK ((current_step >= 0)), CONSTRAINT chk_saga_status CHECK ((status = ANY (ARRAY['started'::text, 'completed'::text, 'compensating'::text, 'failed'::text]))), CONSTRAINT saga_instances_pkey PRIMARY KEY (saga_id)) WITH (fillfactor=70);
-- set up table pgcharter.saga_instances: nobody waits
ALTER TABLE pgcharter.saga_instances ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.saga_instances: nobody waits
ALTER TABLE pgcharter.saga_instances FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.tenant IS 'tenant of the transaction that started it; empty: it had none';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.saga_type IS 'name of the definition';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.definition_version IS 'version of the definition that it keeps to, to its end';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.business_key IS 'what it is about: one saga of a type for each';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.status IS 'failed: all that was done is compensated';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.current_step IS 'number of the step that was begun last';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.compensation_data IS 'why it turned round: step, error, who asked';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.result IS 'of its last step';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.error IS 'why it turned round, or what it is stuck on';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.round IS 'times that it was resumed after it had failed';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.waiting IS 'what it waits for';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.stuck_at IS 'since then it needs a person, and goes on trying';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.next_at IS 'when it is due; while somebody has it, when the lease ends';
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.deadline IS 'it turns round when it has not passed its pivot by then';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.lease_owner IS 'worker that has it';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.fencing_token IS 'grows with each claim: whoever holds an older one can write nothing';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.signals IS 'signals that have been noticed';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.parent_id IS 'saga of which it is a step';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON COLUMN pgcharter.saga_instances.completed_at IS 'when it ended, completed or failed';
-- comment on table pgcharter.saga_instances: nobody waits
COMMENT ON TABLE pgcharter.saga_instances IS 'Sagas: work in steps, each with what takes it back';
-- grant on table pgcharter.saga_instances: nobody waits
GRANT SELECT ON TABLE pgcharter.saga_instances TO shop_readwrite;
-- grant on table pgcharter.saga_instances: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.saga_instances TO shop_worker;
-- create table pgcharter.saga_signals: nobody waits
CREATE TABLE pgcharter.saga_signals (signal_id uuid DEFAULT gen_random_uuid() NOT NULL, saga_id uuid NOT NULL, tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, kind text DEFAULT 'signal'::text NOT NULL, name text DEFAULT ''::text NOT NULL, payload jsonb, actor text, reason text, sent_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL, seen boolean DEFAULT false NOT NULL, taken_at timestamp with time zone, CONSTRAINT saga_signals_pkey PRIMARY KEY (signal_id));
-- set up table pgcharter.saga_signals: nobody waits
ALTER TABLE pgcharter.saga_signals ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.saga_signals: nobody waits
ALTER TABLE pgcharter.saga_signals FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.saga_signals: nobody waits
COMMENT ON COLUMN pgcharter.saga_signals.signal_id IS 'the same signal sent again is one';
-- comment on table pgcharter.saga_signals: nobody waits
COMMENT ON COLUMN pgcharter.saga_signals.tenant IS 'tenant of the transaction that started it; empty: it had none';
-- comment on table pgcharter.saga_signals: nobody waits
COMMENT ON COLUMN pgcharter.saga_signals.kind IS 'signal, ended (of a sub-saga), or what a person asks for';
-- comment on table pgcharter.saga_signals: nobody waits
COMMENT ON COLUMN pgcharter.saga_signals.seen IS 'its saga has been woken';
-- comment on table pgcharter.saga_signals: nobody waits
COMMENT ON COLUMN pgcharter.saga_signals.taken_at IS 'when a step, or what was asked for, used it up';
-- comment on table pgcharter.saga_signals: nobody waits
COMMENT ON TABLE pgcharter.saga_signals IS 'What sagas have been told: kept until a step takes it';
-- grant on table pgcharter.saga_signals: nobody waits
GRANT SELECT ON TABLE pgcharter.saga_signals TO shop_readwrite;
-- grant on table pgcharter.saga_signals: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.saga_signals TO shop_worker;
-- create table pgcharter.saga_steps: nobody waits
CREATE TABLE pgcharter.saga_steps (step_id uuid DEFAULT gen_random_uuid() NOT NULL, saga_id uuid NOT NULL, tenant text DEFAULT COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text) NOT NULL, step_number integer NOT NULL, step_type text NOT NULL, kind text DEFAULT 'step'::text NOT NULL, status text DEFAULT 'pending'::text NOT NULL, started_at timestamp with time zone, completed_at timestamp with time zone, compensated_at timestamp with time zone, error_message text, retry_count integer DEFAULT 0 NOT NULL, compensation_count integer DEFAULT 0 NOT NULL, uncertain boolean DEFAULT false NOT NULL, next_at timestamp with time zone, result jsonb, CONSTRAINT chk_retry_count_positive CHECK ((retry_count >= 0)), CONSTRAINT chk_step_status CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'completed'::text, 'failed'::text, 'compensated'::text, 'skipped'::text]))), CONSTRAINT saga_steps_pkey PRIMARY KEY (step_id), CONSTRAINT saga_steps_step_number_key UNIQUE (saga_id, step_number)) WITH (fillfactor=80);
-- set up table pgcharter.saga_steps: nobody waits
ALTER TABLE pgcharter.saga_steps ENABLE ROW LEVEL SECURITY;
-- set up table pgcharter.saga_steps: nobody waits
ALTER TABLE pgcharter.saga_steps FORCE ROW LEVEL SECURITY;
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.tenant IS 'tenant of the transaction that started it; empty: it had none';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.step_type IS 'name of the step';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.kind IS 'step, wait, sleep, saga';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.started_at IS 'last attempt';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.retry_count IS 'attempts that failed';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.compensation_count IS 'attempts to compensate that failed';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.uncertain IS 'an attempt ended without an answer: it may have had its effect';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON COLUMN pgcharter.saga_steps.next_at IS 'when it is tried again, or what it waits for is over';
-- comment on table pgcharter.saga_steps: nobody waits
COMMENT ON TABLE pgcharter.saga_steps IS 'Steps of sagas that have been begun';
-- grant on table pgcharter.saga_steps: nobody waits
GRANT SELECT ON TABLE pgcharter.saga_steps TO shop_readwrite;
-- grant on table pgcharter.saga_steps: nobody waits
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pgcharter.saga_steps TO shop_worker;
-- create table pgcharter.scores: nobody waits
CREATE TABLE pgcharter.scores (guide text NOT NULL, scored_at timestamp with time zone DEFAULT now() NOT NULL, holds integer NOT NULL, broken integer NOT NULL, unproven integer NOT NULL, waived integer NOT NULL, clauses jsonb NOT NULL, recorded_by text DEFAULT SESSION_USER NOT NULL, CONSTRAINT scores_pkey PRIMARY KEY (guide, scored_at));
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.guide IS 'id of the guide';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.holds IS 'clauses that hold';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.broken IS 'clauses that are broken';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.unproven IS 'clauses that nobody has proven';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.waived IS 'clauses whose breaks are accepted';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.clauses IS 'state by clause';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON COLUMN pgcharter.scores.recorded_by IS 'who recorded it';
-- comment on table pgcharter.scores: nobody waits
COMMENT ON TABLE pgcharter.scores IS 'Scorecards of guides, one row for each time one was made';
-- grant on table pgcharter.scores: nobody waits
GRANT SELECT ON TABLE pgcharter.scores TO shop_readonly;
-- create table pgcharter.sync_corrections: nobody waits
CREATE TABLE pgcharter.sync_corrections (id uuid DEFAULT gen_random_uuid() NOT NULL, run uuid NOT NULL, slot text NOT NULL, sink text NOT NULL, mapping text NOT NULL, key jsonb NOT NULL, differed jsonb NOT NULL, done text NOT NULL, at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT sync_corrections_done_check CHECK ((done = ANY (ARRAY['written'::text, 'deleted'::text, 'reported'::text]))), CONSTRAINT sync_corrections_pkey PRIMARY KEY (id));
-- comment on table pgcharter.sync_corrections: nobody waits
COMMENT ON COLUMN pgcharter.sync_corrections.run IS 'one comparison';
-- comment on table pgcharter.sync_corrections: nobody waits
COMMENT ON COLUMN pgcharter.sync_corrections.mapping IS 'table and what it is called there';
-- comment on table pgcharter.sync_corrections: nobody waits
COMMENT ON COLUMN pgcharter.sync_corrections.differed IS 'field by field: what the source has and what the copy had; of secrets only that they differ';
-- comment on table pgcharter.sync_corrections: nobody waits
COMMENT ON COLUMN pgcharter.sync_corrections.done IS 'written, deleted, or reported when nothing was done';
-- comment on table pgcharter.sync_corrections: nobody waits
COMMENT ON TABLE pgcharter.sync_corrections IS 'What comparing copies with their source has found';
-- create table pgcharter.sync_sinks: nobody waits
CREATE TABLE pgcharter.sync_sinks (slot text NOT NULL, sink text NOT NULL, wanted text DEFAULT 'running'::text NOT NULL, state text DEFAULT 'new'::text NOT NULL, reason text DEFAULT ''::text NOT NULL, lsn pg_lsn DEFAULT '0/0'::pg_lsn NOT NULL, ordinal bigint DEFAULT 0 NOT NULL, reached pg_lsn DEFAULT '0/0'::pg_lsn NOT NULL, rows bigint DEFAULT 0 NOT NULL, spilling boolean DEFAULT false NOT NULL, spilled bigint DEFAULT 0 NOT NULL, behind double precision DEFAULT 0 NOT NULL, updated_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT sync_sinks_pkey PRIMARY KEY (slot, sink), CONSTRAINT sync_sinks_state_check CHECK ((state = ANY (ARRAY['new'::text, 'running'::text, 'paused'::text, 'down'::text, 'refused'::text, 'lost'::text])))) WITH (fillfactor=50);
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.wanted IS 'what a person wants: running or paused';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.state IS 'what it is: new, running, paused, down, refused or lost';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.reason IS 'why';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.lsn IS 'commit of the last transaction that is durable there';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.ordinal IS 'last change of it that is; 0: all before it';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.reached IS 'up to here nothing is on its way to it any more, whether it keeps that or not';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.rows IS 'rows written since it was begun';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.spilling IS 'changes are in its file, which the slot has let go of';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.spilled IS 'bytes in its file';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.behind IS 'seconds since the oldest change was committed that is not there yet';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON COLUMN pgcharter.sync_sinks.updated_at IS 'when a worker said so';
-- comment on table pgcharter.sync_sinks: nobody waits
COMMENT ON TABLE pgcharter.sync_sinks IS 'How far each store is to which tables are copied';
-- create table pgcharter.sync_snapshots: nobody waits
CREATE TABLE pgcharter.sync_snapshots (slot text NOT NULL, sink text NOT NULL, source text NOT NULL, state text DEFAULT 'waiting'::text NOT NULL, after text[], rows bigint DEFAULT 0 NOT NULL, total bigint DEFAULT 0 NOT NULL, began pg_lsn DEFAULT '0/0'::pg_lsn NOT NULL, updated_at timestamp with time zone DEFAULT now() NOT NULL, CONSTRAINT sync_snapshots_pkey PRIMARY KEY (slot, sink, source), CONSTRAINT sync_snapshots_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'copying'::text, 'done'::text]))));
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.sync_snapshots.source IS 'table, as SQL';
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.sync_snapshots.state IS 'waiting, copying or done';
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.sync_snapshots.after IS 'key of the last row that is there';
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.sync_snapshots.rows IS 'rows that are there';
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.sync_snapshots.total IS 'rows of the table, as PostgreSQL estimates';
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON COLUMN pgcharter.sync_snapshots.began IS 'position at which it began: rows with older stamps go at its end';
-- comment on table pgcharter.sync_snapshots: nobody waits
COMMENT ON TABLE pgcharter.sync_snapshots IS 'How far the seeding of copies is, by store and table';
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
-- change default of column sales.order_journeys.tenant_id: reads and writes wait ≤ 2 s
ALTER TABLE sales.order_journeys ALTER COLUMN tenant_id SET DEFAULT (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid;
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
-- create constraint pgcharter.saga_history.saga_history_saga_id_fkey: nobody waits
ALTER TABLE pgcharter.saga_history ADD CONSTRAINT saga_history_saga_id_fkey FOREIGN KEY (saga_id) REFERENCES pgcharter.saga_instances(saga_id) ON DELETE CASCADE;
-- create constraint pgcharter.saga_instances.saga_instances_parent_id_fkey: nobody waits
ALTER TABLE pgcharter.saga_instances ADD CONSTRAINT saga_instances_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES pgcharter.saga_instances(saga_id) ON DELETE CASCADE;
-- create constraint pgcharter.saga_signals.saga_signals_saga_id_fkey: nobody waits
ALTER TABLE pgcharter.saga_signals ADD CONSTRAINT saga_signals_saga_id_fkey FOREIGN KEY (saga_id) REFERENCES pgcharter.saga_instances(saga_id) ON DELETE CASCADE;
-- create constraint pgcharter.saga_steps.saga_steps_saga_id_fkey: nobody waits
ALTER TABLE pgcharter.saga_steps ADD CONSTRAINT saga_steps_saga_id_fkey FOREIGN KEY (saga_id) REFERENCES pgcharter.saga_instances(saga_id) ON DELETE CASCADE;
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
-- create index pgcharter.events_by_category: nobody waits
CREATE INDEX events_by_category ON ONLY pgcharter.events USING btree (aggregate_type, "position");
-- create index pgcharter.events_2026_11_by_category: nobody waits
CREATE INDEX events_2026_11_by_category ON pgcharter.events_2026_11 USING btree (aggregate_type, "position");
-- set up index pgcharter.events_2026_11_by_category: nobody waits
ALTER INDEX pgcharter.events_by_category ATTACH PARTITION pgcharter.events_2026_11_by_category;
-- create index pgcharter.events_2026_12_by_category: nobody waits
CREATE INDEX events_2026_12_by_category ON pgcharter.events_2026_12 USING btree (aggregate_type, "position");
-- set up index pgcharter.events_2026_12_by_category: nobody waits
ALTER INDEX pgcharter.events_by_category ATTACH PARTITION pgcharter.events_2026_12_by_category;
-- create index pgcharter.events_2027_01_by_category: nobody waits
CREATE INDEX events_2027_01_by_category ON pgcharter.events_2027_01 USING btree (aggregate_type, "position");
-- set up index pgcharter.events_2027_01_by_category: nobody waits
ALTER INDEX pgcharter.events_by_category ATTACH PARTITION pgcharter.events_2027_01_by_category;
-- create index pgcharter.events_2027_02_by_category: nobody waits
CREATE INDEX events_2027_02_by_category ON pgcharter.events_2027_02 USING btree (aggregate_type, "position");
-- set up index pgcharter.events_2027_02_by_category: nobody waits
ALTER INDEX pgcharter.events_by_category ATTACH PARTITION pgcharter.events_2027_02_by_category;
-- create index pgcharter.events_by_position: nobody waits
CREATE INDEX events_by_position ON ONLY pgcharter.events USING btree ("position");
-- create index pgcharter.events_2026_11_by_position: nobody waits
CREATE INDEX events_2026_11_by_position ON pgcharter.events_2026_11 USING btree ("position");
-- set up index pgcharter.events_2026_11_by_position: nobody waits
ALTER INDEX pgcharter.events_by_position ATTACH PARTITION pgcharter.events_2026_11_by_position;
-- create index pgcharter.events_2026_12_by_position: nobody waits
CREATE INDEX events_2026_12_by_position ON pgcharter.events_2026_12 USING btree ("position");
-- set up index pgcharter.events_2026_12_by_position: nobody waits
ALTER INDEX pgcharter.events_by_position ATTACH PARTITION pgcharter.events_2026_12_by_position;
-- create index pgcharter.events_2027_01_by_position: nobody waits
CREATE INDEX events_2027_01_by_position ON pgcharter.events_2027_01 USING btree ("position");
-- set up index pgcharter.events_2027_01_by_position: nobody waits
ALTER INDEX pgcharter.events_by_position ATTACH PARTITION pgcharter.events_2027_01_by_position;
-- create index pgcharter.events_2027_02_by_position: nobody waits
CREATE INDEX events_2027_02_by_position ON pgcharter.events_2027_02 USING btree ("position");
-- set up index pgcharter.events_2027_02_by_position: nobody waits
ALTER INDEX pgcharter.events_by_position ATTACH PARTITION pgcharter.events_2027_02_by_position;
-- create index pgcharter.events_unplaced_by_category: nobody waits
CREATE INDEX events_unplaced_by_category ON pgcharter.events_unplaced USING btree (aggregate_type, "position");
-- set up index pgcharter.events_unplaced_by_category: nobody waits
ALTER INDEX pgcharter.events_by_category ATTACH PARTITION pgcharter.events_unplaced_by_category;
-- create index pgcharter.events_unplaced_by_position: nobody waits
CREATE INDEX events_unplaced_by_position ON pgcharter.events_unplaced USING btree ("position");
-- set up index pgcharter.events_unplaced_by_position: nobody waits
ALTER INDEX pgcharter.events_by_position ATTACH PARTITION pgcharter.events_unplaced_by_position;
-- create index pgcharter.idempotency_keys_expires_at: nobody waits
CREATE INDEX idempotency_keys_expires_at ON pgcharter.idempotency_keys USING btree (expires_at);
-- create index pgcharter.idx_saga_instances_type_status: nobody waits
CREATE INDEX idx_saga_instances_type_status ON pgcharter.saga_instances USING btree (saga_type, status);
-- create index pgcharter.inbox_seen_at: nobody waits
CREATE INDEX inbox_seen_at ON pgcharter.inbox USING btree (seen_at);
-- create index pgcharter.parked_due: nobody waits
CREATE INDEX parked_due ON pgcharter.parked USING btree (consumer, due_at) WHERE (state = 'waiting'::text);
-- create index pgcharter.parked_head: nobody waits
CREATE INDEX parked_head ON pgcharter.parked USING btree (consumer, key) WHERE (state <> 'behind'::text);
-- create index pgcharter.saga_history_saga_id: nobody waits
CREATE INDEX saga_history_saga_id ON pgcharter.saga_history USING btree (saga_id, happened_at);
-- create index pgcharter.saga_instances_business_key: nobody waits
CREATE UNIQUE INDEX saga_instances_business_key ON pgcharter.saga_instances USING btree (tenant, saga_type, business_key) WHERE (business_key IS NOT NULL);
-- create index pgcharter.saga_instances_completed_at: nobody waits
CREATE INDEX saga_instances_completed_at ON pgcharter.saga_instances USING btree (completed_at) WHERE (completed_at IS NOT NULL);
-- create index pgcharter.saga_instances_due: nobody waits
CREATE INDEX saga_instances_due ON pgcharter.saga_instances USING btree (saga_type, definition_version, next_at) WHERE (next_at IS NOT NULL);
-- create index pgcharter.saga_instances_parent_id: nobody waits
CREATE INDEX saga_instances_parent_id ON pgcharter.saga_instances USING btree (parent_id) WHERE (parent_id IS NOT NULL);
-- create index pgcharter.saga_signals_saga_id: nobody waits
CREATE INDEX saga_signals_saga_id ON pgcharter.saga_signals USING btree (saga_id, sent_at);
-- create index pgcharter.saga_signals_unseen: nobody waits
CREATE INDEX saga_signals_unseen ON pgcharter.saga_signals USING btree (sent_at) WHERE (NOT seen);
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
COMMIT;

BEGIN;
SET LOCAL lock_timeout = '5s';
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
-- create trigger pgcharter.events.events_guard_rows: nobody waits
CREATE TRIGGER events_guard_rows BEFORE DELETE OR UPDATE ON pgcharter.events FOR EACH ROW EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events.events_guard_rows: nobody waits
ALTER TABLE pgcharter.events ENABLE ALWAYS TRIGGER events_guard_rows;
-- create trigger pgcharter.events.events_guard_whole: nobody waits
CREATE TRIGGER events_guard_whole BEFORE TRUNCATE ON pgcharter.events FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events.events_guard_whole: nobody waits
ALTER TABLE pgcharter.events ENABLE ALWAYS TRIGGER events_guard_whole;
-- create trigger pgcharter.events_2026_11.events_guard_whole: nobody waits
CREATE TRIGGER events_guard_whole BEFORE TRUNCATE ON pgcharter.events_2026_11 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events_2026_11.events_guard_whole: nobody waits
ALTER TABLE pgcharter.events_2026_11 ENABLE ALWAYS TRIGGER events_guard_whole;
-- create trigger pgcharter.events_2026_12.events_guard_whole: nobody waits
CREATE TRIGGER events_guard_whole BEFORE TRUNCATE ON pgcharter.events_2026_12 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events_2026_12.events_guard_whole: nobody waits
ALTER TABLE pgcharter.events_2026_12 ENABLE ALWAYS TRIGGER events_guard_whole;
-- create trigger pgcharter.events_2027_01.events_guard_whole: nobody waits
CREATE TRIGGER events_guard_whole BEFORE TRUNCATE ON pgcharter.events_2027_01 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events_2027_01.events_guard_whole: nobody waits
ALTER TABLE pgcharter.events_2027_01 ENABLE ALWAYS TRIGGER events_guard_whole;
-- create trigger pgcharter.events_2027_02.events_guard_whole: nobody waits
CREATE TRIGGER events_guard_whole BEFORE TRUNCATE ON pgcharter.events_2027_02 FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events_2027_02.events_guard_whole: nobody waits
ALTER TABLE pgcharter.events_2027_02 ENABLE ALWAYS TRIGGER events_guard_whole;
-- create trigger pgcharter.events_unplaced.events_guard_whole: nobody waits
CREATE TRIGGER events_guard_whole BEFORE TRUNCATE ON pgcharter.events_unplaced FOR EACH STATEMENT EXECUTE FUNCTION pgcharter.events_guard();
-- set up trigger pgcharter.events_unplaced.events_guard_whole: nobody waits
ALTER TABLE pgcharter.events_unplaced ENABLE ALWAYS TRIGGER events_guard_whole;
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
-- create policy pgcharter.event_heads.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.event_heads USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.event_heads.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.event_heads TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.event_snapshots.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.event_snapshots USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.event_snapshots.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.event_snapshots TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.events.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.events USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.events.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.events TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.idempotency_keys.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.idempotency_keys USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.idempotency_keys.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.idempotency_keys TO CURRENT_USER USING (true) WITH CHECK (true);
-- create policy pgcharter.inbox.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.inbox USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.inbox.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.inbox TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.saga_history.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.saga_history USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.saga_history.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.saga_history TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.saga_instances.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.saga_instances USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.saga_instances.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.saga_instances TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.saga_signals.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.saga_signals USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.saga_signals.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.saga_signals TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
-- create policy pgcharter.saga_steps.pgcharter_tenant: nobody waits
CREATE POLICY pgcharter_tenant ON pgcharter.saga_steps USING ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text))) WITH CHECK ((tenant = COALESCE(current_setting('pgcharter.tenant'::text, true), ''::text)));
-- create policy pgcharter.saga_steps.pgcharter_workers: nobody waits
CREATE POLICY pgcharter_workers ON pgcharter.saga_steps TO CURRENT_USER, shop_worker USING (true) WITH CHECK (true);
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
-- create policy sales.order_journeys.pgcharter_rows: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_rows ON sales.order_journeys USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
-- create policy sales.order_journeys.pgcharter_tenant: reads and writes wait ≤ 2 s
CREATE POLICY pgcharter_tenant ON sales.order_journeys AS RESTRICTIVE USING ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid)) WITH CHECK ((tenant_id = (NULLIF(current_setting('pgcharter.tenant'::text, true), ''::text))::uuid));
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
-- create publication shop_sync: nobody waits
CREATE PUBLICATION shop_sync FOR TABLE ONLY catalog.products WITH (publish_via_partition_root = true);
-- comment on publication shop_sync: nobody waits
COMMENT ON PUBLICATION shop_sync IS 'Tables of which pgcharter keeps copies';
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
