-- Migration: Create care functions
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Booking, measuring and searching, with parameters checked and errors that say what is wrong

CREATE FUNCTION care.book_appointment(
    p_patient_id bigint,
    p_practitioner_id bigint,
    p_room_number integer,
    p_starts_at timestamptz,
    p_minutes integer,
    p_visit_reason varchar
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = care, people, pg_temp
AS $$
DECLARE
    booked bigint;
    taken text;
BEGIN
    IF p_minutes IS NULL OR p_minutes NOT BETWEEN 5 AND 240 THEN
        RAISE EXCEPTION 'an appointment takes 5 to 240 minutes, not %', coalesce(p_minutes::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_starts_at IS NULL OR p_starts_at < now() THEN
        RAISE EXCEPTION 'an appointment cannot begin in the past' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM people.practitioners AS p WHERE p.practitioner_id = p_practitioner_id AND p.is_practising) THEN
        RAISE EXCEPTION 'practitioner % takes no appointments', coalesce(p_practitioner_id::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO care.appointments (patient_id, practitioner_id, room_number, starts_at, ends_at, visit_reason)
    VALUES (p_patient_id, p_practitioner_id, p_room_number, p_starts_at, p_starts_at + make_interval(mins => p_minutes), p_visit_reason)
    RETURNING appointment_id INTO booked;
    RETURN booked;
EXCEPTION
    WHEN exclusion_violation THEN
        GET STACKED DIAGNOSTICS taken = CONSTRAINT_NAME;
        RAISE EXCEPTION '% is taken at %', CASE taken WHEN 'appointments_room_free' THEN 'the room' ELSE 'the practitioner' END, p_starts_at
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = taken, HINT = 'Choose another time.';
END
$$;

COMMENT ON FUNCTION care.book_appointment(bigint, bigint, integer, timestamptz, integer, varchar) IS
    'Books an appointment and returns its key; fails with exclusion_violation when practitioner or room is taken. Runs as the caller';

GRANT EXECUTE ON FUNCTION care.book_appointment(bigint, bigint, integer, timestamptz, integer, varchar) TO clinic_reception, clinic_practitioner;

CREATE FUNCTION care.record_measurement(
    p_patient_id bigint,
    p_measurement_kind_code varchar,
    p_measured_at timestamptz,
    p_measured_value numeric,
    p_device jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = care, pg_temp
AS $$
DECLARE
    kind care.measurement_kinds;
BEGIN
    SELECT * INTO kind FROM care.measurement_kinds AS k WHERE k.measurement_kind_code = p_measurement_kind_code;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing called % is measured', coalesce(p_measurement_kind_code, 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_measured_value IS NULL OR p_measured_value NOT BETWEEN kind.lowest_value AND kind.highest_value THEN
        RAISE EXCEPTION '% of % % is not possible', p_measurement_kind_code, coalesce(p_measured_value::text, 'NULL'), kind.unit_name
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_measured_at > now() + interval '5 minutes' THEN
        RAISE EXCEPTION 'the clock of the device is ahead: %', p_measured_at USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO care.measurements (patient_id, measurement_kind_code, measured_at, measured_value, device)
    VALUES (p_patient_id, p_measurement_kind_code, p_measured_at, p_measured_value, coalesce(p_device, '{}'))
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION care.record_measurement(bigint, varchar, timestamptz, numeric, jsonb) IS
    'Records a value after checking that it is possible; false when it was there already, so that devices may send it again. Runs as the caller';

GRANT EXECUTE ON FUNCTION care.record_measurement(bigint, varchar, timestamptz, numeric, jsonb) TO clinic_practitioner;

CREATE FUNCTION care.search_notes(p_words text, p_limit integer DEFAULT 20)
RETURNS TABLE (clinical_note_id bigint, patient_id bigint, note_title varchar, rank real)
LANGUAGE sql
STABLE
SET search_path = care, pg_temp
AS $$
    SELECT n.clinical_note_id, n.patient_id, n.note_title, ts_rank(n.search_vector, q.query) AS rank
    FROM care.clinical_notes AS n, websearch_to_tsquery('english', p_words) AS q (query)
    WHERE n.search_vector @@ q.query
    ORDER BY ts_rank(n.search_vector, q.query) DESC, n.clinical_note_id
    LIMIT least(greatest(p_limit, 1), 200)
$$;

COMMENT ON FUNCTION care.search_notes(text, integer) IS
    'Notes that hold these words, best first, as far as the caller''s row policies show them; 1 to 200 of them';

GRANT EXECUTE ON FUNCTION care.search_notes(text, integer) TO clinic_practitioner;
