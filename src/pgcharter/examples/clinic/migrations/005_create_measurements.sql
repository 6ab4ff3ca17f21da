-- Migration: Create measurements
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: What is measured, partitioned by month and kept ten years

CREATE TABLE care.measurement_kinds (
    measurement_kind_code VARCHAR(20) PRIMARY KEY,
    unit_name VARCHAR(20) NOT NULL,
    lowest_value NUMERIC(10, 3) NOT NULL,
    highest_value NUMERIC(10, 3) NOT NULL,
    CONSTRAINT measurement_kinds_measurement_kind_code_format CHECK (measurement_kind_code ~ '^[a-z_]{2,20}$'),
    CONSTRAINT measurement_kinds_range CHECK (lowest_value < highest_value)
);

COMMENT ON TABLE care.measurement_kinds IS 'What can be measured, in which unit, and what is possible at all';
COMMENT ON COLUMN care.measurement_kinds.measurement_kind_code IS 'Natural key: heart_rate, temperature [public]';
COMMENT ON COLUMN care.measurement_kinds.unit_name IS 'Unit of the values: bpm, °C [public]';
COMMENT ON COLUMN care.measurement_kinds.lowest_value IS 'Anything below is a mistake [public]';
COMMENT ON COLUMN care.measurement_kinds.highest_value IS 'Anything above is a mistake [public]';

GRANT SELECT, INSERT, UPDATE, DELETE ON care.measurement_kinds TO clinic_admin;

CREATE TABLE care.measurements (
    patient_id BIGINT NOT NULL,
    measurement_kind_code VARCHAR(20) NOT NULL,
    measured_at TIMESTAMP WITH TIME ZONE NOT NULL,
    measured_value NUMERIC(10, 3) NOT NULL,
    device JSONB NOT NULL DEFAULT '{}',
    PRIMARY KEY (patient_id, measurement_kind_code, measured_at),
    CONSTRAINT measurements_patient_id_fkey FOREIGN KEY (patient_id)
        REFERENCES people.patients (patient_id) ON DELETE RESTRICT,
    CONSTRAINT measurements_measurement_kind_code_fkey FOREIGN KEY (measurement_kind_code)
        REFERENCES care.measurement_kinds (measurement_kind_code) ON DELETE RESTRICT,
    CONSTRAINT measurements_device_shape CHECK (
        jsonb_typeof(device) = 'object' AND coalesce(jsonb_typeof(device -> 'serial'), 'string') = 'string'
    )
) PARTITION BY RANGE (measured_at);

-- Rows arrive in order of time: a BRIN index of a few pages finds a stretch of it.
CREATE INDEX measurements_measured_at_idx ON care.measurements USING brin (measured_at);
CREATE INDEX measurements_measurement_kind_code_measured_at_idx ON care.measurements (measurement_kind_code, measured_at) INCLUDE (measured_value);
CREATE INDEX measurements_device_serial_idx ON care.measurements ((device ->> 'serial')) WHERE device ? 'serial';

COMMENT ON TABLE care.measurements IS 'Values measured on patients, partitioned by month (UTC); one of a kind at a moment is what identifies it';
COMMENT ON COLUMN care.measurements.patient_id IS 'On whom [confidential]';
COMMENT ON COLUMN care.measurements.measurement_kind_code IS 'What, and thereby in which unit [health]';
COMMENT ON COLUMN care.measurements.measured_at IS 'When; decides the partition [confidential]';
COMMENT ON COLUMN care.measurements.measured_value IS 'How much, in the unit of its kind [health]';
COMMENT ON COLUMN care.measurements.device IS 'What the device says of itself; serial is a text where it is given [internal]';

GRANT INSERT ON care.measurements TO clinic_practitioner;

SELECT platform.create_month_partitions('care.measurements', '2026-01-01', 36);

INSERT INTO platform.retention_rules (schema_name, table_name, keep_for, legal_basis)
VALUES ('care', 'measurements', interval '10 years', 'duty to keep medical records');
