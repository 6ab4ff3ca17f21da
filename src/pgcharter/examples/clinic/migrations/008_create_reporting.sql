-- Migration: Create reporting
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: A view for the joins of everyday, one that masks patients for research, and a monthly summary

CREATE VIEW reporting.appointment_overview
WITH (security_invoker = true) AS
SELECT
    a.appointment_id,
    a.starts_at,
    a.ends_at,
    a.appointment_status,
    r.room_name,
    pt.record_number,
    pt.given_name || ' ' || pt.family_name AS patient_name,
    pr.given_name || ' ' || pr.family_name AS practitioner_name
FROM care.appointments AS a
JOIN care.rooms AS r ON r.room_number = a.room_number
JOIN people.patients AS pt ON pt.patient_id = a.patient_id
JOIN people.practitioners AS pr ON pr.practitioner_id = a.practitioner_id;

COMMENT ON VIEW reporting.appointment_overview IS 'Appointments with the names that belong to them; needs the rights of the reader on all four tables';
COMMENT ON COLUMN reporting.appointment_overview.patient_name IS 'Given and family name [personal]';
COMMENT ON COLUMN reporting.appointment_overview.practitioner_name IS 'Given and family name [public]';

GRANT SELECT ON reporting.appointment_overview TO clinic_reception, clinic_practitioner;

-- Not security_invoker: researchers have no rights on patients, and this view is all they see of them.
CREATE VIEW reporting.masked_patients
WITH (security_barrier = true, security_invoker = false) AS
SELECT
    p.patient_id,
    left(p.given_name, 1) || '.' AS given_initial,
    extract(year FROM p.date_of_birth)::integer AS birth_year,
    left(p.email, 1) || '***@' || split_part(p.email, '@', 2) AS masked_email,
    '***' || right(p.phone, 2) AS masked_phone,
    (p.address).country_code AS country_code,
    p.allergies
FROM people.patients AS p;

COMMENT ON VIEW reporting.masked_patients IS 'Patients without what tells who they are; runs with its owner''s rights, so that readers need none on patients';

GRANT SELECT ON reporting.masked_patients TO clinic_researcher;

CREATE MATERIALIZED VIEW reporting.monthly_workload AS
SELECT
    a.practitioner_id,
    (date_trunc('month', a.starts_at AT TIME ZONE 'UTC'))::date AS month_start,
    count(*) AS appointment_count,
    count(*) FILTER (WHERE a.appointment_status = 'missed') AS missed_count,
    sum(a.ends_at - a.starts_at) AS planned_time
FROM care.appointments AS a
WHERE a.appointment_status <> 'cancelled'
GROUP BY a.practitioner_id, (date_trunc('month', a.starts_at AT TIME ZONE 'UTC'))::date;

CREATE UNIQUE INDEX monthly_workload_practitioner_id_month_start_key ON reporting.monthly_workload (practitioner_id, month_start);

COMMENT ON MATERIALIZED VIEW reporting.monthly_workload IS
    'Appointments by practitioner and month (UTC), denormalised because the report reads years at once; refreshed every night';

GRANT SELECT ON reporting.monthly_workload TO clinic_researcher, clinic_admin;
