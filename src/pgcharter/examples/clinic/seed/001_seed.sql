-- Rows to work with while developing: made-up people, a few weeks of appointments, notes and measurements. Never part of a migration.

INSERT INTO people.encryption_keys (encryption_key_id, algorithm) VALUES ('insurance-2026', 'AES-256-GCM');

INSERT INTO people.specialities (speciality_code, speciality_name)
VALUES ('GEN', 'General medicine'), ('CARD', 'Cardiology'), ('DERM', 'Dermatology'), ('PHYS', 'Physiotherapy');

INSERT INTO people.practitioners (licence_number, given_name, family_name, email)
SELECT
    'L-' || to_char(n, 'FM0000'),
    (ARRAY['Ada', 'Bela', 'Carla', 'Dario', 'Eszter'])[n],
    (ARRAY['Novak', 'Berg', 'Rossi', 'Silva', 'Horvath'])[n],
    'practitioner' || n || '@clinic.example'
FROM generate_series(1, 5) AS n;

INSERT INTO people.practitioner_specialities (practitioner_id, speciality_code, acquired_on)
SELECT p.practitioner_id, s.speciality_code, DATE '2015-03-01' + (p.practitioner_id * 200)::integer
FROM people.practitioners AS p
JOIN people.specialities AS s ON s.speciality_code = 'GEN' OR length(s.speciality_name) % 5 = p.practitioner_id - 1;

INSERT INTO people.patients
    (record_number, given_name, family_name, date_of_birth, email, phone, address,
    insurance_number_ciphertext, insurance_number_key_id, insurance_number_digest, preferences, allergies)
SELECT
    'P' || to_char(n, 'FM00000000'),
    (ARRAY['Anna', 'Ben', 'Chiara', 'David', 'Elif', 'Femi', 'Greta'])[1 + n % 7],
    (ARRAY['Adler', 'Bauer', 'Conti', 'Dubois', 'Eriksen'])[1 + n % 5],
    DATE '1940-01-15' + n * 331,
    'patient' || n || '@mail.example',
    '+4366012345' || to_char(n, 'FM00'),
    ROW('Long Lane ' || n, '80' || to_char(n, 'FM00'), 'Graz', 'AT')::people.postal_address,
    -- Stands in for what the application would store; no key was ever used for it.
    sha256(('ciphertext ' || n)::bytea),
    'insurance-2026',
    sha256(('digest ' || n)::bytea),
    jsonb_build_object('language', (ARRAY['de', 'en', 'it'])[1 + n % 3], 'reminders', n % 4 <> 0),
    CASE WHEN n % 6 = 0 THEN ARRAY['penicillin', 'nuts'] WHEN n % 5 = 0 THEN ARRAY['pollen'] ELSE '{}' END
FROM generate_series(1, 60) AS n;

INSERT INTO care.rooms (room_number, room_name)
VALUES (101, 'Blue room'), (102, 'Green room'), (201, 'Laboratory'), (202, 'Gymnasium'), (203, 'Quiet room');

INSERT INTO care.appointments (patient_id, practitioner_id, room_number, starts_at, ends_at, appointment_status, visit_reason)
SELECT
    1 + n % 60,
    1 + n % 5,
    (ARRAY[101, 102, 201, 202, 203])[1 + (n + n / 40) % 5],
    TIMESTAMP WITH TIME ZONE '2026-10-05 08:00:00+00' + make_interval(days => n / 40, mins => n % 40 / 5 * 45),
    TIMESTAMP WITH TIME ZONE '2026-10-05 08:30:00+00' + make_interval(days => n / 40, mins => n % 40 / 5 * 45),
    (ARRAY['finished', 'finished', 'missed', 'finished', 'cancelled'])[1 + n % 7 % 5]::care.appointment_status,
    (ARRAY['Check-up', 'Back pain', 'Rash', 'Short of breath'])[1 + n % 4]
FROM generate_series(0, 199) AS n;

INSERT INTO care.clinical_notes (patient_id, practitioner_id, appointment_id, diagnosis_code, note_title, note_body)
SELECT
    a.patient_id,
    a.practitioner_id,
    a.appointment_id,
    (ARRAY['Z00.0', 'M54.5', 'L30.9', 'R06.0'])[1 + a.appointment_id % 4],
    a.visit_reason,
    'Seen for ' || lower(a.visit_reason) || '; advised to return if it does not improve within two weeks.'
FROM care.appointments AS a
WHERE a.appointment_status = 'finished';

INSERT INTO care.measurement_kinds (measurement_kind_code, unit_name, lowest_value, highest_value)
VALUES ('heart_rate', 'bpm', 20, 300), ('temperature', '°C', 25, 45), ('weight', 'kg', 0.3, 500);

INSERT INTO care.measurements (patient_id, measurement_kind_code, measured_at, measured_value, device)
SELECT
    1 + n % 60,
    CASE n % 2 WHEN 0 THEN 'heart_rate' ELSE 'temperature' END,
    TIMESTAMP WITH TIME ZONE '2026-08-01 06:00:00+00' + make_interval(hours => n * 5),
    CASE n % 2 WHEN 0 THEN 58 + n % 40 ELSE 36.2 + n % 15 * 0.1 END,
    CASE WHEN n % 3 = 0 THEN jsonb_build_object('serial', 'MX-' || n % 9) ELSE '{}' END
FROM generate_series(0, 399) AS n;

REFRESH MATERIALIZED VIEW reporting.monthly_workload;
