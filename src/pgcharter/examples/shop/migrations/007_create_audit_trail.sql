-- Migration: Create audit trail
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Who changed users, vendors, products and payments, TRUNCATE included, partitioned by month

CREATE TYPE audit.audit_action AS ENUM ('insert', 'update', 'delete', 'truncate');
COMMENT ON TYPE audit.audit_action IS 'Kind of change';

CREATE TABLE audit.audit_entries (
    audit_entry_id UUID NOT NULL DEFAULT gen_random_uuid(),
    tenant_id UUID,
    schema_name VARCHAR(63) NOT NULL,
    table_name VARCHAR(63) NOT NULL,
    record_id UUID,
    audit_action audit.audit_action NOT NULL,
    old_row JSONB,
    new_row JSONB,
    actor_user_id UUID,
    login_role VARCHAR(63) NOT NULL,
    transaction_number BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (audit_entry_id, created_at),
    CONSTRAINT fk_audit_entries_tenant_id FOREIGN KEY (tenant_id)
        REFERENCES identity.tenants (tenant_id) ON DELETE RESTRICT,
    CONSTRAINT chk_audit_entries_rows_match_action CHECK (
        (old_row IS NOT NULL) = (audit_action IN ('update', 'delete'))
        AND (new_row IS NOT NULL) = (audit_action IN ('insert', 'update'))
    )
) PARTITION BY RANGE (created_at);

CREATE INDEX idx_audit_entries_tenant_id_record_id_created_at ON audit.audit_entries (tenant_id, record_id, created_at);

COMMENT ON TABLE audit.audit_entries IS 'Changes of audited tables, append only, partitioned by month';
COMMENT ON COLUMN audit.audit_entries.audit_entry_id IS 'Key within its month';
COMMENT ON COLUMN audit.audit_entries.tenant_id IS 'Tenant of the changed row; null for TRUNCATE, which concerns all';
COMMENT ON COLUMN audit.audit_entries.schema_name IS 'Schema of the changed table';
COMMENT ON COLUMN audit.audit_entries.table_name IS 'Name of the changed table';
COMMENT ON COLUMN audit.audit_entries.record_id IS 'Primary key of the changed row; null for TRUNCATE';
COMMENT ON COLUMN audit.audit_entries.audit_action IS 'Kind of change';
COMMENT ON COLUMN audit.audit_entries.old_row IS 'The row before, without secrets';
COMMENT ON COLUMN audit.audit_entries.new_row IS 'The row after, without secrets';
COMMENT ON COLUMN audit.audit_entries.actor_user_id IS 'User of the application (app.current_user_id); null outside the application';
COMMENT ON COLUMN audit.audit_entries.login_role IS 'Role that opened the session; the current role would always be the owner of the trigger';
COMMENT ON COLUMN audit.audit_entries.transaction_number IS 'Transaction that made the change (64 bits, never reused)';
COMMENT ON COLUMN audit.audit_entries.created_at IS 'When the change was made; decides the partition';

ALTER TABLE audit.audit_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.audit_entries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit.audit_entries
    FOR SELECT
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
-- Only the owner may insert (see the grants); TRUNCATE belongs to no tenant.
CREATE POLICY tenant_append ON audit.audit_entries
    FOR INSERT
    WITH CHECK (tenant_id IS NULL OR tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

SELECT platform.create_month_partitions('audit.audit_entries', '2026-01-01', 24);

CREATE FUNCTION audit.record_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = audit, pg_temp
AS $$
DECLARE
    key_column CONSTANT text := TG_ARGV[0];
    actor CONSTANT uuid := nullif(current_setting('app.current_user_id', true), '')::uuid;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit.audit_entries
            (tenant_id, schema_name, table_name, record_id, audit_action, new_row, actor_user_id, login_role, transaction_number)
        SELECT (n.doc ->> 'tenant_id')::uuid, TG_TABLE_SCHEMA, TG_TABLE_NAME, (n.doc ->> key_column)::uuid, 'insert',
            n.doc, actor, session_user, pg_current_xact_id()::text::bigint
        FROM (SELECT to_jsonb(r) - 'password_hash' - 'search_vector' AS doc FROM new_rows AS r) AS n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO audit.audit_entries
            (tenant_id, schema_name, table_name, record_id, audit_action, old_row, new_row, actor_user_id, login_role, transaction_number)
        SELECT (n.doc ->> 'tenant_id')::uuid, TG_TABLE_SCHEMA, TG_TABLE_NAME, (n.doc ->> key_column)::uuid, 'update',
            o.doc, n.doc, actor, session_user, pg_current_xact_id()::text::bigint
        FROM (SELECT to_jsonb(r) - 'password_hash' - 'search_vector' AS doc FROM old_rows AS r) AS o
        JOIN (SELECT to_jsonb(r) - 'password_hash' - 'search_vector' AS doc FROM new_rows AS r) AS n
            ON n.doc ->> key_column = o.doc ->> key_column;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO audit.audit_entries
            (tenant_id, schema_name, table_name, record_id, audit_action, old_row, actor_user_id, login_role, transaction_number)
        SELECT (o.doc ->> 'tenant_id')::uuid, TG_TABLE_SCHEMA, TG_TABLE_NAME, (o.doc ->> key_column)::uuid, 'delete',
            o.doc, actor, session_user, pg_current_xact_id()::text::bigint
        FROM (SELECT to_jsonb(r) - 'password_hash' - 'search_vector' AS doc FROM old_rows AS r) AS o;
    ELSE
        INSERT INTO audit.audit_entries (schema_name, table_name, audit_action, actor_user_id, login_role, transaction_number)
        VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, 'truncate', actor, session_user, pg_current_xact_id()::text::bigint);
    END IF;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION audit.record_change() FROM PUBLIC;
COMMENT ON FUNCTION audit.record_change() IS
    'Statement trigger: records every changed row, or the TRUNCATE. Takes the name of the primary key column. Runs as its owner, because the application may not write the trail';

CREATE TRIGGER trg_users_audit_insert AFTER INSERT ON identity.users
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('user_id');
CREATE TRIGGER trg_users_audit_update AFTER UPDATE ON identity.users
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('user_id');
CREATE TRIGGER trg_users_audit_delete AFTER DELETE ON identity.users
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('user_id');
CREATE TRIGGER trg_users_audit_truncate AFTER TRUNCATE ON identity.users
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('user_id');

CREATE TRIGGER trg_vendors_audit_insert AFTER INSERT ON catalog.vendors
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('vendor_id');
CREATE TRIGGER trg_vendors_audit_update AFTER UPDATE ON catalog.vendors
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('vendor_id');
CREATE TRIGGER trg_vendors_audit_delete AFTER DELETE ON catalog.vendors
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('vendor_id');
CREATE TRIGGER trg_vendors_audit_truncate AFTER TRUNCATE ON catalog.vendors
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('vendor_id');

CREATE TRIGGER trg_products_audit_insert AFTER INSERT ON catalog.products
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('product_id');
CREATE TRIGGER trg_products_audit_update AFTER UPDATE ON catalog.products
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('product_id');
CREATE TRIGGER trg_products_audit_delete AFTER DELETE ON catalog.products
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('product_id');
CREATE TRIGGER trg_products_audit_truncate AFTER TRUNCATE ON catalog.products
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('product_id');

-- A payment is made by a notification of its provider, whose reference it keeps: the trail begins with the first change.
CREATE TRIGGER trg_payments_audit_update AFTER UPDATE ON sales.payments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('payment_id');
CREATE TRIGGER trg_payments_audit_delete AFTER DELETE ON sales.payments
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('payment_id');
CREATE TRIGGER trg_payments_audit_truncate AFTER TRUNCATE ON sales.payments
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change('payment_id');
