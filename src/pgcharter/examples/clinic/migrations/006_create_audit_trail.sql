-- Migration: Create audit trail
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Who changed patients, qualifications and appointments, with keys of any type, TRUNCATE included, kept three years

CREATE TYPE audit.change_kind AS ENUM ('insert', 'update', 'delete', 'truncate');
COMMENT ON TYPE audit.change_kind IS 'What was done to a row or table';

CREATE TABLE audit.entries (
    entry_id UUID NOT NULL DEFAULT gen_random_uuid(),
    schema_name VARCHAR(63) NOT NULL,
    table_name VARCHAR(63) NOT NULL,
    record_key JSONB,
    change_kind audit.change_kind NOT NULL,
    old_row JSONB,
    new_row JSONB,
    actor_name VARCHAR(100),
    login_role VARCHAR(63) NOT NULL,
    transaction_number BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (entry_id, recorded_at),
    CONSTRAINT entries_record_key_shape CHECK (jsonb_typeof(record_key) = 'object'),
    CONSTRAINT entries_old_row_shape CHECK (jsonb_typeof(old_row) = 'object'),
    CONSTRAINT entries_new_row_shape CHECK (jsonb_typeof(new_row) = 'object'),
    CONSTRAINT entries_rows_match_change CHECK (
        (record_key IS NULL) = (change_kind = 'truncate')
        AND (old_row IS NOT NULL) = (change_kind IN ('update', 'delete'))
        AND (new_row IS NOT NULL) = (change_kind IN ('insert', 'update'))
    )
) PARTITION BY RANGE (recorded_at);

CREATE INDEX entries_record_key_idx ON audit.entries USING gin (record_key jsonb_path_ops);
CREATE INDEX entries_table_name_recorded_at_idx ON audit.entries (schema_name, table_name, recorded_at);

COMMENT ON TABLE audit.entries IS 'Changes of audited tables, append only, partitioned by month (UTC)';
COMMENT ON COLUMN audit.entries.entry_id IS 'Key within its month [internal]';
COMMENT ON COLUMN audit.entries.schema_name IS 'Schema of the changed table [internal]';
COMMENT ON COLUMN audit.entries.table_name IS 'Name of the changed table [internal]';
COMMENT ON COLUMN audit.entries.record_key IS 'Primary key of the changed row, column by column and of any type; null for TRUNCATE [confidential]';
COMMENT ON COLUMN audit.entries.change_kind IS 'What was done [internal]';
COMMENT ON COLUMN audit.entries.old_row IS 'The row before, without ciphertext [health]';
COMMENT ON COLUMN audit.entries.new_row IS 'The row after, without ciphertext [health]';
COMMENT ON COLUMN audit.entries.actor_name IS 'Who used the application (app.actor_name); null outside it [personal]';
COMMENT ON COLUMN audit.entries.login_role IS 'Role that opened the session; the current role would be the owner of the trigger [internal]';
COMMENT ON COLUMN audit.entries.transaction_number IS 'Transaction that made the change, 64 bits, never used again [internal]';
COMMENT ON COLUMN audit.entries.recorded_at IS 'When the change was made; decides the partition [internal]';

SELECT platform.create_month_partitions('audit.entries', '2026-01-01', 36);

INSERT INTO platform.retention_rules (schema_name, table_name, keep_for, legal_basis)
VALUES ('audit', 'entries', interval '3 years', 'limitation of claims');

CREATE FUNCTION audit.record_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = audit, pg_temp
AS $$
DECLARE
    hidden CONSTANT text[] := ARRAY['insurance_number_ciphertext', 'insurance_number_digest'];
    before_row CONSTANT jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) - hidden END;
    after_row CONSTANT jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) - hidden END;
BEGIN
    INSERT INTO audit.entries
        (schema_name, table_name, record_key, change_kind, old_row, new_row, actor_name, login_role, transaction_number)
    VALUES (
        TG_TABLE_SCHEMA,
        TG_TABLE_NAME,
        (SELECT jsonb_object_agg(k.name, coalesce(before_row, after_row) -> k.name) FROM unnest(TG_ARGV) AS k (name) WHERE TG_OP <> 'TRUNCATE'),
        lower(TG_OP)::audit.change_kind,
        before_row,
        after_row,
        nullif(current_setting('app.actor_name', true), ''),
        session_user,
        pg_current_xact_id()::text::bigint
    );
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION audit.record_change() FROM PUBLIC;
COMMENT ON FUNCTION audit.record_change() IS
    'Trigger: records one changed row, or a TRUNCATE. Takes the names of the key columns. Runs as its owner, because nobody else may write the trail';

CREATE TRIGGER patients_audit
    AFTER INSERT OR UPDATE OR DELETE ON people.patients
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('patient_id');
CREATE TRIGGER patients_audit_truncate
    AFTER TRUNCATE ON people.patients
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();

CREATE TRIGGER practitioner_specialities_audit
    AFTER INSERT OR UPDATE OR DELETE ON people.practitioner_specialities
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('practitioner_id', 'speciality_code');
CREATE TRIGGER practitioner_specialities_audit_truncate
    AFTER TRUNCATE ON people.practitioner_specialities
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();

CREATE TRIGGER appointments_audit
    AFTER INSERT OR UPDATE OR DELETE ON care.appointments
    FOR EACH ROW EXECUTE FUNCTION audit.record_change('appointment_id');
CREATE TRIGGER appointments_audit_truncate
    AFTER TRUNCATE ON care.appointments
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record_change();
