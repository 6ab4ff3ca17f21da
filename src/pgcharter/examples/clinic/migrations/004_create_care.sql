-- Migration: Create care
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Rooms, appointments that cannot overlap, clinical notes that only those treating may read

CREATE TYPE care.appointment_status AS ENUM ('booked', 'arrived', 'finished', 'missed', 'cancelled');
COMMENT ON TYPE care.appointment_status IS 'How far an appointment has come';

CREATE DOMAIN care.icd10_code AS VARCHAR(8)
    CONSTRAINT icd10_code_format CHECK (VALUE ~ '^[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$');
COMMENT ON DOMAIN care.icd10_code IS 'Diagnosis by ICD-10: a letter, two signs, up to four more after a dot';

CREATE TABLE care.rooms (
    room_number SMALLINT PRIMARY KEY,
    room_name VARCHAR(60) NOT NULL,
    CONSTRAINT rooms_room_name_key UNIQUE (room_name),
    CONSTRAINT rooms_room_number_range CHECK (room_number BETWEEN 101 AND 399)
);

COMMENT ON TABLE care.rooms IS 'Rooms that patients are seen in';
COMMENT ON COLUMN care.rooms.room_number IS 'Floor and number as on the door: a natural key [public]';
COMMENT ON COLUMN care.rooms.room_name IS 'What patients are told [public]';

GRANT SELECT ON care.rooms TO clinic_reception;
GRANT SELECT, INSERT, UPDATE, DELETE ON care.rooms TO clinic_admin;

CREATE TABLE care.appointments (
    appointment_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id BIGINT NOT NULL,
    practitioner_id BIGINT NOT NULL,
    room_number SMALLINT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    appointment_status care.appointment_status NOT NULL DEFAULT 'booked',
    visit_reason VARCHAR(500) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT appointments_patient_id_fkey FOREIGN KEY (patient_id)
        REFERENCES people.patients (patient_id) ON DELETE RESTRICT,
    CONSTRAINT appointments_practitioner_id_fkey FOREIGN KEY (practitioner_id)
        REFERENCES people.practitioners (practitioner_id) ON DELETE RESTRICT,
    CONSTRAINT appointments_room_number_fkey FOREIGN KEY (room_number)
        REFERENCES care.rooms (room_number) ON DELETE RESTRICT,
    CONSTRAINT appointments_length CHECK (ends_at > starts_at AND ends_at <= starts_at + interval '4 hours'),
    -- A range of one key overlaps only itself: equality for GiST without an extension.
    CONSTRAINT appointments_practitioner_free EXCLUDE USING gist (
        int8range(practitioner_id, practitioner_id, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (appointment_status <> 'cancelled'),
    CONSTRAINT appointments_room_free EXCLUDE USING gist (
        int4range(room_number, room_number, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (appointment_status <> 'cancelled')
);

-- The day of a patient or practitioner is read from the index alone.
CREATE INDEX appointments_patient_id_starts_at_idx ON care.appointments (patient_id, starts_at) INCLUDE (ends_at, appointment_status);
CREATE INDEX appointments_practitioner_id_starts_at_idx ON care.appointments (practitioner_id, starts_at) INCLUDE (ends_at, appointment_status);
CREATE INDEX appointments_room_number_idx ON care.appointments (room_number);
-- Reminders look for what is still to come.
CREATE INDEX appointments_booked_idx ON care.appointments (starts_at) WHERE appointment_status = 'booked';

COMMENT ON TABLE care.appointments IS 'Who sees whom, where and when; neither a practitioner nor a room can be taken twice at a time';
COMMENT ON COLUMN care.appointments.appointment_id IS 'Key that notes refer to [internal]';
COMMENT ON COLUMN care.appointments.patient_id IS 'Who comes [confidential]';
COMMENT ON COLUMN care.appointments.practitioner_id IS 'Whom the patient sees [confidential]';
COMMENT ON COLUMN care.appointments.room_number IS 'Where [internal]';
COMMENT ON COLUMN care.appointments.starts_at IS 'From when, inclusive [confidential]';
COMMENT ON COLUMN care.appointments.ends_at IS 'Until when, exclusive; four hours at most [confidential]';
COMMENT ON COLUMN care.appointments.appointment_status IS 'How far it has come; a cancelled one frees practitioner and room [confidential]';
COMMENT ON COLUMN care.appointments.visit_reason IS 'What the patient said on booking [health]';
COMMENT ON COLUMN care.appointments.created_at IS 'When it was booked [internal]';
COMMENT ON COLUMN care.appointments.updated_at IS 'When the row last changed [internal]';

CREATE TRIGGER appointments_set_updated_at
    BEFORE UPDATE ON care.appointments
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

GRANT SELECT, INSERT, UPDATE ON care.appointments TO clinic_reception, clinic_practitioner;

CREATE TABLE care.clinical_notes (
    clinical_note_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id BIGINT NOT NULL,
    practitioner_id BIGINT NOT NULL,
    appointment_id BIGINT,
    diagnosis_code care.icd10_code,
    note_title VARCHAR(200) NOT NULL,
    note_body TEXT NOT NULL,
    search_vector TSVECTOR GENERATED ALWAYS AS (
        setweight(to_tsvector('english', note_title), 'A') || setweight(to_tsvector('english', note_body), 'B')
    ) STORED,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT clinical_notes_patient_id_fkey FOREIGN KEY (patient_id)
        REFERENCES people.patients (patient_id) ON DELETE RESTRICT,
    CONSTRAINT clinical_notes_practitioner_id_fkey FOREIGN KEY (practitioner_id)
        REFERENCES people.practitioners (practitioner_id) ON DELETE RESTRICT,
    CONSTRAINT clinical_notes_appointment_id_fkey FOREIGN KEY (appointment_id)
        REFERENCES care.appointments (appointment_id) ON DELETE SET NULL
);

CREATE INDEX clinical_notes_patient_id_created_at_idx ON care.clinical_notes (patient_id, created_at);
CREATE INDEX clinical_notes_practitioner_id_idx ON care.clinical_notes (practitioner_id);
CREATE INDEX clinical_notes_appointment_id_idx ON care.clinical_notes (appointment_id);
CREATE INDEX clinical_notes_search_vector_idx ON care.clinical_notes USING gin (search_vector);

COMMENT ON TABLE care.clinical_notes IS 'What practitioners write down; row policies show them to those who treat the patient';
COMMENT ON COLUMN care.clinical_notes.clinical_note_id IS 'Key of the note [internal]';
COMMENT ON COLUMN care.clinical_notes.patient_id IS 'Whom the note is about, also without an appointment [confidential]';
COMMENT ON COLUMN care.clinical_notes.practitioner_id IS 'Who wrote it [confidential]';
COMMENT ON COLUMN care.clinical_notes.appointment_id IS 'Visit it was written at; null for what was said on the telephone [confidential]';
COMMENT ON COLUMN care.clinical_notes.diagnosis_code IS 'Diagnosis where there is one [health]';
COMMENT ON COLUMN care.clinical_notes.note_title IS 'The matter in a few words [health]';
COMMENT ON COLUMN care.clinical_notes.note_body IS 'The note itself, without limit of length [health]';
COMMENT ON COLUMN care.clinical_notes.search_vector IS 'Title and body for text search, title first [health]';
COMMENT ON COLUMN care.clinical_notes.created_at IS 'When it was written [confidential]';
COMMENT ON COLUMN care.clinical_notes.updated_at IS 'When the row last changed [internal]';

CREATE TRIGGER clinical_notes_set_updated_at
    BEFORE UPDATE ON care.clinical_notes
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE care.clinical_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE care.clinical_notes FORCE ROW LEVEL SECURITY;
-- The author, and whoever sees the patient; only the author writes.
CREATE POLICY treating_practitioner_reads ON care.clinical_notes
    FOR SELECT TO clinic_practitioner
    USING (
        patient_id IN (
            SELECT a.patient_id FROM care.appointments AS a
            WHERE a.practitioner_id = nullif(current_setting('app.practitioner_id', true), '')::bigint
        )
        OR practitioner_id = nullif(current_setting('app.practitioner_id', true), '')::bigint
    );
CREATE POLICY author_inserts ON care.clinical_notes
    FOR INSERT TO clinic_practitioner
    WITH CHECK (practitioner_id = nullif(current_setting('app.practitioner_id', true), '')::bigint);
CREATE POLICY author_updates ON care.clinical_notes
    FOR UPDATE TO clinic_practitioner
    USING (practitioner_id = nullif(current_setting('app.practitioner_id', true), '')::bigint)
    WITH CHECK (practitioner_id = nullif(current_setting('app.practitioner_id', true), '')::bigint);

GRANT INSERT, UPDATE ON care.clinical_notes TO clinic_practitioner;
