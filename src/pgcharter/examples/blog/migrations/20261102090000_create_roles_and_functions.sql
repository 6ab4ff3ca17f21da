-- Migration: Create roles and functions
-- Description: One role for reading and one for writing, default privileges, and the functions that the tables stand on

-- Up Migration
BEGIN;

-- Group roles without login: a login user of each service is made a member of one of them, outside of the migrations.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'blog_reader') THEN
        CREATE ROLE blog_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'blog_writer') THEN
        CREATE ROLE blog_writer NOLOGIN;
    END IF;
END
$$;

-- What is granted here reaches every table that is made later by the same owner; GRANT ... ON ALL TABLES would not.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO blog_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO blog_writer;
GRANT USAGE ON SCHEMA public TO blog_reader, blog_writer;

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION set_updated_at() IS 'Row trigger: sets updated_at to the time of the transaction';

CREATE FUNCTION count_version() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION count_version() IS
    'Row trigger: counts the changes of a row. Who updates WHERE id = ... AND version = ... and hits no row has been overtaken';

CREATE FUNCTION create_month_partitions(p_parent regclass, p_first date, p_last date) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name CONSTANT text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = p_parent);
    parent_name CONSTANT text := (SELECT relname FROM pg_class WHERE oid = p_parent);
    month_start date := date_trunc('month', p_first::timestamp)::date;
    month_end date;
    partition_name text;
    made integer := 0;
BEGIN
    WHILE month_start <= p_last LOOP
        month_end := (month_start + interval '1 month')::date;
        partition_name := parent_name || to_char(month_start, '_YYYY_MM');
        IF to_regclass(format('%s.%I', schema_name, partition_name)) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %s.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                schema_name, partition_name, p_parent, month_start || ' 00:00:00+00', month_end || ' 00:00:00+00'
            );
            made := made + 1;
        END IF;
        month_start := month_end;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION create_month_partitions(regclass, date, date) IS
    'Makes the missing month partitions (UTC) of a table from one day to another, table_YYYY_MM; returns how many it made. Run it monthly, ahead of time';

COMMIT;

-- Down Migration
BEGIN;

DROP FUNCTION create_month_partitions(regclass, date, date);
DROP FUNCTION count_version();
DROP FUNCTION set_updated_at();
REVOKE USAGE ON SCHEMA public FROM blog_reader, blog_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM blog_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM blog_reader;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
-- The roles stay: they belong to the server, and other databases on it may use them.

COMMIT;
