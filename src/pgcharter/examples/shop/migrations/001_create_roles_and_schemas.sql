-- Migration: Create roles and schemas
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Group roles without login, one schema per domain, and default privileges, so that every later table is granted when it is made

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_readonly') THEN
        CREATE ROLE shop_readonly NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_readwrite') THEN
        CREATE ROLE shop_readwrite NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_admin') THEN
        CREATE ROLE shop_admin NOLOGIN;
    END IF;
END
$$;

CREATE SCHEMA platform;
CREATE SCHEMA partitions;
CREATE SCHEMA identity;
CREATE SCHEMA catalog;
CREATE SCHEMA sales;
CREATE SCHEMA audit;
CREATE SCHEMA reporting;

COMMENT ON SCHEMA platform IS 'What the other schemas stand on: functions, and stored summaries; no role may enter';
COMMENT ON SCHEMA partitions IS 'Month partitions; no role may enter, so that rows are reached only through their parents and their row policies';
COMMENT ON SCHEMA identity IS 'Tenants of the marketplace and their users';
COMMENT ON SCHEMA catalog IS 'What is sold: vendors, categories, products, stock';
COMMENT ON SCHEMA sales IS 'Orders, their items and payments';
COMMENT ON SCHEMA audit IS 'Who changed what, and when; the application can read it and never write it directly';
COMMENT ON SCHEMA reporting IS 'Views and summaries for reading';

-- Functions are executable by everybody unless this is said before they are made.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA identity, catalog, sales, audit, reporting TO shop_readonly, shop_readwrite, shop_admin;

ALTER DEFAULT PRIVILEGES IN SCHEMA identity, catalog, sales, audit, reporting
    GRANT SELECT ON TABLES TO shop_readonly, shop_readwrite, shop_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA identity, catalog, sales
    GRANT INSERT, UPDATE, DELETE ON TABLES TO shop_readwrite, shop_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA catalog
    GRANT EXECUTE ON FUNCTIONS TO shop_readwrite, shop_admin;
