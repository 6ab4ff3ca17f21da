-- Description: Roles, schemas, and default privileges, so that every later table is granted when it is made

-- Rights belong to three roles without login. Who logs in is a member of one of them and has no rights of its own.
-- Roles belong to the whole server, so another database on it may have made them before.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app_readonly') THEN
        CREATE ROLE app_readonly NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app_readwrite') THEN
        CREATE ROLE app_readwrite NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app_admin') THEN
        CREATE ROLE app_admin NOLOGIN;
    END IF;
    -- A password in a migration would stay in the repository and in the server's log. Without one nobody gets in:
    -- set it with \password in psql, which sends only a verifier.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app_api_user') THEN
        CREATE ROLE app_api_user LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'reporting_user') THEN
        CREATE ROLE reporting_user LOGIN;
    END IF;
END
$$;

GRANT app_readwrite TO app_api_user;
GRANT app_readonly TO reporting_user;

CREATE SCHEMA app;
CREATE SCHEMA audit;

COMMENT ON SCHEMA app IS 'What the application works with';
COMMENT ON SCHEMA audit IS 'Who changed what, and when; written by triggers alone';

-- Everybody may execute a new function unless this is said before it is made.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA app TO app_readonly, app_readwrite, app_admin;
GRANT USAGE ON SCHEMA audit TO app_admin;

-- GRANT ... ON ALL TABLES would reach the tables of this moment only. Default privileges reach every table that the role running
-- the migrations makes from now on. Rights are named: ALL would include TRUNCATE, which row policies do not see.
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO app_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app_readwrite, app_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO app_admin;
