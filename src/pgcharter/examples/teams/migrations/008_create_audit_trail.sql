-- Description: Who changed users, teams, memberships, tenants and their users, TRUNCATE included

CREATE TABLE audit.audit_entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id UUID,
    schema_name VARCHAR(63) NOT NULL,
    table_name VARCHAR(63) NOT NULL,
    operation VARCHAR(10) NOT NULL,
    record_key JSONB,
    old_data JSONB,
    new_data JSONB,
    changed_by VARCHAR(100) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT ck_audit_entries_operation CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')),
    CONSTRAINT ck_audit_entries_rows_match_operation CHECK (
        (old_data IS NOT NULL) = (operation IN ('UPDATE', 'DELETE'))
        AND (new_data IS NOT NULL) = (operation IN ('INSERT', 'UPDATE'))
        AND (record_key IS NOT NULL) = (operation <> 'TRUNCATE')
    )
);

-- The history of one row, and what happened in a period
CREATE INDEX idx_audit_entries_table_name_record_key ON audit.audit_entries (table_name, record_key);
CREATE INDEX idx_audit_entries_tenant_id_created_at ON audit.audit_entries (tenant_id, created_at);

ALTER TABLE audit.audit_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.audit_entries FORCE ROW LEVEL SECURITY;
-- Entries of the platform itself belong to no tenant. Who may read the trail at all is said by grants: administrators.
CREATE POLICY tenant_isolation ON audit.audit_entries
    FOR SELECT
    USING (tenant_id IS NULL OR tenant_id = app.current_tenant_id());
-- No role was granted INSERT: only the trigger gets here, with the rights of the owner.
CREATE POLICY tenant_append ON audit.audit_entries
    FOR INSERT
    WITH CHECK (tenant_id IS NULL OR tenant_id = app.current_tenant_id());

COMMENT ON TABLE audit.audit_entries IS 'Changes of audited tables, append only';
COMMENT ON COLUMN audit.audit_entries.id IS 'Key; later entries have higher numbers';
COMMENT ON COLUMN audit.audit_entries.tenant_id IS 'Tenant of the changed row; null for what belongs to the platform. No foreign key: the trail outlives tenants';
COMMENT ON COLUMN audit.audit_entries.schema_name IS 'Schema of the changed table';
COMMENT ON COLUMN audit.audit_entries.table_name IS 'Name of the changed table';
COMMENT ON COLUMN audit.audit_entries.operation IS 'What was done';
COMMENT ON COLUMN audit.audit_entries.record_key IS 'Primary key of the row before the change, all of its columns: holds numbers, UUIDs and pairs; null for TRUNCATE';
COMMENT ON COLUMN audit.audit_entries.old_data IS 'The row before, without secrets';
COMMENT ON COLUMN audit.audit_entries.new_data IS 'The row after, without secrets';
COMMENT ON COLUMN audit.audit_entries.changed_by IS 'User of the application (app.current_user), or the role that logged in where the application said nothing';
COMMENT ON COLUMN audit.audit_entries.created_at IS 'When it was done';

-- It runs as its owner, because the application may not write the trail. So it has a search_path of its own, in which nobody can
-- put a table before the real one, and asks session_user: current_user would be the owner.
-- The setting may be missing, in psql or in a job. changed_by then says who logged in instead of refusing the change.
CREATE FUNCTION audit.record_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row jsonb;
    new_row jsonb;
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        old_row := to_jsonb(OLD) - 'password_hash';
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        new_row := to_jsonb(NEW) - 'password_hash';
    END IF;
    INSERT INTO audit.audit_entries (tenant_id, schema_name, table_name, operation, record_key, old_data, new_data, changed_by)
    SELECT
        CASE TG_TABLE_NAME WHEN 'tenants' THEN r.doc ->> 'id' ELSE r.doc ->> 'tenant_id' END::uuid,
        TG_TABLE_SCHEMA,
        TG_TABLE_NAME,
        TG_OP,
        CASE WHEN r.doc IS NOT NULL THEN (SELECT jsonb_object_agg(k, r.doc -> k) FROM unnest(TG_ARGV) AS k) END,
        old_row,
        new_row,
        left(coalesce(nullif(current_setting('app.current_user', true), ''), session_user), 100)
    FROM (SELECT coalesce(old_row, new_row) AS doc) AS r;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION audit.record_change() IS 'Trigger: records the changed row, or the TRUNCATE. Takes the names of the primary key''s columns';

CREATE TRIGGER trg_users_audit AFTER INSERT OR UPDATE OR DELETE ON app.users
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('id');
CREATE TRIGGER trg_teams_audit AFTER INSERT OR UPDATE OR DELETE ON app.teams
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('id');
CREATE TRIGGER trg_users_teams_audit AFTER INSERT OR UPDATE OR DELETE ON app.users_teams
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('user_id', 'team_id');
CREATE TRIGGER trg_tenants_audit AFTER INSERT OR UPDATE OR DELETE ON app.tenants
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('id');
CREATE TRIGGER trg_tenant_users_audit AFTER INSERT OR UPDATE OR DELETE ON app.tenant_users
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('id');

-- TRUNCATE fires no row trigger.
CREATE TRIGGER trg_users_audit_truncate AFTER TRUNCATE ON app.users
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();
CREATE TRIGGER trg_teams_audit_truncate AFTER TRUNCATE ON app.teams
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();
CREATE TRIGGER trg_users_teams_audit_truncate AFTER TRUNCATE ON app.users_teams
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();
CREATE TRIGGER trg_tenants_audit_truncate AFTER TRUNCATE ON app.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();
CREATE TRIGGER trg_tenant_users_audit_truncate AFTER TRUNCATE ON app.tenant_users
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();
