-- Migration: Create people
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Patients, practitioners, specialities; the insurance number encrypted by the application

CREATE DOMAIN people.email_address AS VARCHAR(254)
    CONSTRAINT email_address_format CHECK (VALUE ~ '^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$');
COMMENT ON DOMAIN people.email_address IS 'Address for electronic mail: one @, a dot after it, no blanks';

CREATE DOMAIN people.phone_number AS VARCHAR(16)
    CONSTRAINT phone_number_format CHECK (VALUE ~ '^\+[1-9][0-9]{6,14}$');
COMMENT ON DOMAIN people.phone_number IS 'Telephone number in E.164 form';

CREATE TYPE people.postal_address AS (
    street VARCHAR(200),
    postal_code VARCHAR(12),
    city VARCHAR(100),
    country_code VARCHAR(2)
);
COMMENT ON TYPE people.postal_address IS 'Where letters go; always read and written as a whole';

CREATE TABLE people.encryption_keys (
    encryption_key_id VARCHAR(40) PRIMARY KEY,
    algorithm VARCHAR(30) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    retired_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT encryption_keys_algorithm_authenticated CHECK (algorithm IN ('AES-256-GCM', 'XCHACHA20-POLY1305')),
    CONSTRAINT encryption_keys_retired_at_order CHECK (retired_at >= created_at)
);

COMMENT ON TABLE people.encryption_keys IS 'Keys that values are encrypted with, by name only: the keys themselves never enter the database';
COMMENT ON COLUMN people.encryption_keys.encryption_key_id IS 'Name under which the key service knows the key [internal]';
COMMENT ON COLUMN people.encryption_keys.algorithm IS 'Authenticated cipher the key is for [internal]';
COMMENT ON COLUMN people.encryption_keys.created_at IS 'Since when the key is in use [internal]';
COMMENT ON COLUMN people.encryption_keys.retired_at IS 'Since when nothing new is encrypted with it; null while it is in use [internal]';

CREATE TABLE people.patients (
    patient_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_number VARCHAR(9) NOT NULL,
    given_name VARCHAR(100) NOT NULL,
    family_name VARCHAR(100) NOT NULL,
    date_of_birth DATE NOT NULL,
    email people.email_address,
    phone people.phone_number,
    address people.postal_address,
    insurance_number_ciphertext BYTEA,
    insurance_number_key_id VARCHAR(40),
    insurance_number_digest BYTEA,
    preferences JSONB NOT NULL DEFAULT '{}',
    allergies VARCHAR(80)[] NOT NULL DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT patients_record_number_key UNIQUE (record_number),
    CONSTRAINT patients_insurance_number_digest_key UNIQUE (insurance_number_digest),
    CONSTRAINT patients_insurance_number_key_id_fkey FOREIGN KEY (insurance_number_key_id)
        REFERENCES people.encryption_keys (encryption_key_id) ON DELETE RESTRICT,
    CONSTRAINT patients_record_number_format CHECK (record_number ~ '^P[0-9]{8}$'),
    CONSTRAINT patients_date_of_birth_plausible CHECK (date_of_birth >= DATE '1890-01-01'),
    CONSTRAINT patients_address_country_code_format CHECK ((address).country_code ~ '^[A-Z]{2}$'),
    CONSTRAINT patients_insurance_number_whole CHECK (
        (insurance_number_ciphertext IS NULL) = (insurance_number_key_id IS NULL)
        AND (insurance_number_ciphertext IS NULL) = (insurance_number_digest IS NULL)
    ),
    CONSTRAINT patients_insurance_number_digest_length CHECK (octet_length(insurance_number_digest) = 32),
    CONSTRAINT patients_preferences_shape CHECK (
        jsonb_typeof(preferences) = 'object'
        AND coalesce(jsonb_typeof(preferences -> 'language'), 'string') = 'string'
        AND coalesce(jsonb_typeof(preferences -> 'reminders'), 'boolean') = 'boolean'
    ),
    CONSTRAINT patients_allergies_whole CHECK (array_position(allergies, NULL) IS NULL)
);

CREATE INDEX patients_lower_family_name_idx ON people.patients (lower(family_name), lower(given_name));
CREATE INDEX patients_insurance_number_key_id_idx ON people.patients (insurance_number_key_id) WHERE insurance_number_key_id IS NOT NULL;
CREATE INDEX patients_allergies_idx ON people.patients USING gin (allergies);
CREATE INDEX patients_preferences_idx ON people.patients USING gin (preferences jsonb_path_ops);

COMMENT ON TABLE people.patients IS 'Everybody who was ever treated here; in third normal form';
COMMENT ON COLUMN people.patients.patient_id IS 'Key that appointments, notes and measurements refer to [internal]';
COMMENT ON COLUMN people.patients.record_number IS 'Number on the paper file [confidential]';
COMMENT ON COLUMN people.patients.given_name IS 'First name as on the insurance card [personal]';
COMMENT ON COLUMN people.patients.family_name IS 'Last name as on the insurance card [personal]';
COMMENT ON COLUMN people.patients.date_of_birth IS 'Day of birth [personal]';
COMMENT ON COLUMN people.patients.email IS 'Where reminders go; a family may share one [personal]';
COMMENT ON COLUMN people.patients.phone IS 'Where the patient is called back [personal]';
COMMENT ON COLUMN people.patients.address IS 'Where letters and bills go [personal]';
COMMENT ON COLUMN people.patients.insurance_number_ciphertext IS 'Number of the insured, encrypted by the application and bound to the row [personal]';
COMMENT ON COLUMN people.patients.insurance_number_key_id IS 'Key it is encrypted with, so that keys can be changed [internal]';
COMMENT ON COLUMN people.patients.insurance_number_digest IS 'Keyed hash of the number, to find a patient by it [confidential]';
COMMENT ON COLUMN people.patients.preferences IS 'Wishes that follow no fixed list; language is a text and reminders a boolean where they are given [personal]';
COMMENT ON COLUMN people.patients.allergies IS 'Substances as the patient names them: an array, for they refer to nothing [health]';
COMMENT ON COLUMN people.patients.created_at IS 'When the file was opened [internal]';
COMMENT ON COLUMN people.patients.updated_at IS 'When the row last changed [internal]';

CREATE TRIGGER patients_set_updated_at
    BEFORE UPDATE ON people.patients
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

GRANT INSERT, UPDATE ON people.patients TO clinic_reception;

CREATE TABLE people.specialities (
    speciality_code VARCHAR(6) PRIMARY KEY,
    speciality_name VARCHAR(100) NOT NULL,
    CONSTRAINT specialities_speciality_name_key UNIQUE (speciality_name),
    CONSTRAINT specialities_speciality_code_format CHECK (speciality_code ~ '^[A-Z]{3,6}$')
);

COMMENT ON TABLE people.specialities IS 'Fields of medicine, by the code of the medical chamber: a natural key that never changes';
COMMENT ON COLUMN people.specialities.speciality_code IS 'Code of the chamber [public]';
COMMENT ON COLUMN people.specialities.speciality_name IS 'What patients read [public]';

CREATE TABLE people.practitioners (
    practitioner_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    licence_number VARCHAR(20) NOT NULL,
    given_name VARCHAR(100) NOT NULL,
    family_name VARCHAR(100) NOT NULL,
    email people.email_address NOT NULL,
    is_practising BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT practitioners_licence_number_key UNIQUE (licence_number)
);

CREATE UNIQUE INDEX practitioners_lower_email_key ON people.practitioners (lower(email));

COMMENT ON TABLE people.practitioners IS 'Doctors and therapists of the clinic, also those who left';
COMMENT ON COLUMN people.practitioners.practitioner_id IS 'Key, and the value that app.practitioner_id has in their sessions [internal]';
COMMENT ON COLUMN people.practitioners.licence_number IS 'Licence of the medical chamber [public]';
COMMENT ON COLUMN people.practitioners.given_name IS 'First name [public]';
COMMENT ON COLUMN people.practitioners.family_name IS 'Last name [public]';
COMMENT ON COLUMN people.practitioners.email IS 'Address they sign in with, unique whatever its case [confidential]';
COMMENT ON COLUMN people.practitioners.is_practising IS 'Whether appointments can be made with them [public]';
COMMENT ON COLUMN people.practitioners.created_at IS 'When they began here [internal]';
COMMENT ON COLUMN people.practitioners.updated_at IS 'When the row last changed [internal]';

CREATE TRIGGER practitioners_set_updated_at
    BEFORE UPDATE ON people.practitioners
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

CREATE TABLE people.practitioner_specialities (
    practitioner_id BIGINT NOT NULL,
    speciality_code VARCHAR(6) NOT NULL,
    acquired_on DATE NOT NULL,
    PRIMARY KEY (practitioner_id, speciality_code),
    CONSTRAINT practitioner_specialities_practitioner_id_fkey FOREIGN KEY (practitioner_id)
        REFERENCES people.practitioners (practitioner_id) ON DELETE CASCADE,
    CONSTRAINT practitioner_specialities_speciality_code_fkey FOREIGN KEY (speciality_code)
        REFERENCES people.specialities (speciality_code) ON DELETE RESTRICT
);

CREATE INDEX practitioner_specialities_speciality_code_idx ON people.practitioner_specialities (speciality_code);

COMMENT ON TABLE people.practitioner_specialities IS 'Who is qualified for what: a junction table, for both sides are rows of their own';
COMMENT ON COLUMN people.practitioner_specialities.practitioner_id IS 'Who [public]';
COMMENT ON COLUMN people.practitioner_specialities.speciality_code IS 'For what [public]';
COMMENT ON COLUMN people.practitioner_specialities.acquired_on IS 'Since which day [public]';
