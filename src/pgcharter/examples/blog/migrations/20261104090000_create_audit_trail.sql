-- Migration: Create audit trail
-- Description: Who changed accounts, roles and donations, TRUNCATE included; the application can neither write nor change it

-- Up Migration
BEGIN;

CREATE TABLE audit_entries (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    table_name VARCHAR(63) NOT NULL,
    record_id UUID,
    action VARCHAR(10) NOT NULL,
    old_row JSONB,
    new_row JSONB,
    actor_user_id UUID,
    login_role VARCHAR(63) NOT NULL DEFAULT session_user,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT chk_audit_entries_action CHECK (action IN ('insert', 'update', 'delete', 'truncate'))
);

CREATE INDEX idx_audit_entries_record_id_created_at ON audit_entries (record_id, created_at);
CREATE INDEX idx_audit_entries_created_at ON audit_entries (created_at);

COMMENT ON TABLE audit_entries IS 'Changes of sensitive tables, append only, written by triggers alone';
COMMENT ON COLUMN audit_entries.record_id IS 'Key of the changed row, in user_roles the user; null for TRUNCATE';
COMMENT ON COLUMN audit_entries.old_row IS 'The row before, without secrets';
COMMENT ON COLUMN audit_entries.new_row IS 'The row after, without secrets';
COMMENT ON COLUMN audit_entries.actor_user_id IS
    'User of the application, as it says with set_config(''app.current_user_id'', ..., true); null outside the application';
COMMENT ON COLUMN audit_entries.login_role IS 'Role that opened the session; the current role would always be the owner of the trigger';

REVOKE SELECT ON audit_entries FROM blog_reader;
REVOKE INSERT, UPDATE, DELETE ON audit_entries FROM blog_writer;

CREATE FUNCTION record_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key_column CONSTANT text := TG_ARGV[0];
    secrets CONSTANT text[] := '{password_hash, phone_ciphertext}';
    old_row CONSTANT jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) - secrets END;
    new_row CONSTANT jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) - secrets END;
BEGIN
    INSERT INTO public.audit_entries (table_name, record_id, action, old_row, new_row, actor_user_id)
    VALUES (
        TG_TABLE_NAME, (coalesce(new_row, old_row) ->> key_column)::uuid, lower(TG_OP), old_row, new_row,
        nullif(current_setting('app.current_user_id', true), '')::uuid
    );
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION record_change() FROM PUBLIC;
COMMENT ON FUNCTION record_change() IS
    'Trigger: records the changed row, or the TRUNCATE. Takes the name of the key column. Runs as its owner, because the application may not write the trail';

CREATE TRIGGER trg_users_audit AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION record_change('id');
CREATE TRIGGER trg_users_audit_truncate AFTER TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION record_change('id');
CREATE TRIGGER trg_user_roles_audit AFTER INSERT OR UPDATE OR DELETE ON user_roles
    FOR EACH ROW EXECUTE FUNCTION record_change('user_id');
CREATE TRIGGER trg_user_roles_audit_truncate AFTER TRUNCATE ON user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION record_change('user_id');
CREATE TRIGGER trg_donations_audit AFTER INSERT OR UPDATE OR DELETE ON donations
    FOR EACH ROW EXECUTE FUNCTION record_change('id');
CREATE TRIGGER trg_donations_audit_truncate AFTER TRUNCATE ON donations
    FOR EACH STATEMENT EXECUTE FUNCTION record_change('id');

COMMIT;

-- Down Migration
BEGIN;

DROP TRIGGER trg_donations_audit_truncate ON donations;
DROP TRIGGER trg_donations_audit ON donations;
DROP TRIGGER trg_user_roles_audit_truncate ON user_roles;
DROP TRIGGER trg_user_roles_audit ON user_roles;
DROP TRIGGER trg_users_audit_truncate ON users;
DROP TRIGGER trg_users_audit ON users;
DROP FUNCTION record_change();
DROP TABLE audit_entries;

COMMIT;
