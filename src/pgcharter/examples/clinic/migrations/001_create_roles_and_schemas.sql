-- Migration: Create roles and schemas
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Group roles without login for each kind of work, one schema per domain, default privileges where a role works in a whole schema

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_reception') THEN
        CREATE ROLE clinic_reception NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_practitioner') THEN
        CREATE ROLE clinic_practitioner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_researcher') THEN
        CREATE ROLE clinic_researcher NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_auditor') THEN
        CREATE ROLE clinic_auditor NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_admin') THEN
        CREATE ROLE clinic_admin NOLOGIN;
    END IF;
END
$$;

CREATE SCHEMA platform;
CREATE SCHEMA partitions;
CREATE SCHEMA people;
CREATE SCHEMA care;
CREATE SCHEMA audit;
CREATE SCHEMA reporting;

COMMENT ON SCHEMA platform IS 'What the other schemas stand on: trigger functions, partitions, retention; no role may enter';
COMMENT ON SCHEMA partitions IS 'Month partitions; no role may enter, rows are reached through their parents';
COMMENT ON SCHEMA people IS 'Patients, practitioners and what they are qualified for';
COMMENT ON SCHEMA care IS 'Appointments, clinical notes, measurements';
COMMENT ON SCHEMA audit IS 'Who changed what, and when; nobody but the owner writes it';
COMMENT ON SCHEMA reporting IS 'Views for reading: joined, summarised or masked';

-- Functions are executable by everybody unless this is said before they are made.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA people, care TO clinic_reception, clinic_practitioner, clinic_admin;
GRANT USAGE ON SCHEMA reporting TO clinic_reception, clinic_practitioner, clinic_researcher, clinic_admin;
GRANT USAGE ON SCHEMA audit TO clinic_auditor;

-- Whoever works in a whole schema also reads what is added to it; everything else is granted object by object.
ALTER DEFAULT PRIVILEGES IN SCHEMA people GRANT SELECT ON TABLES TO clinic_reception, clinic_practitioner, clinic_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA people GRANT INSERT, UPDATE, DELETE ON TABLES TO clinic_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA care GRANT SELECT ON TABLES TO clinic_practitioner;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO clinic_auditor;
