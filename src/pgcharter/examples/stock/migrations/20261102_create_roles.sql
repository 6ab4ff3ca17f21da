-- Migration: Create roles
-- Description: Group roles with the least rights; login users become members of one of them, outside of the migrations

-- Up Migration
BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stock_readonly') THEN
        CREATE ROLE stock_readonly NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stock_application') THEN
        CREATE ROLE stock_application NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stock_importer') THEN
        CREATE ROLE stock_importer NOLOGIN;
    END IF;
END
$$;

ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO stock_readonly, stock_application, stock_importer;

COMMIT;

-- Down Migration
BEGIN;

REVOKE USAGE ON SCHEMA public FROM stock_readonly, stock_application, stock_importer;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
-- The roles stay: they belong to the server, and other databases on it may use them.

COMMIT;
