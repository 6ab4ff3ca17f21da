-- Migration: Create platform functions
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: The trigger that keeps updated_at true, and the function that makes month partitions ahead of time

CREATE FUNCTION platform.set_updated_at() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION platform.set_updated_at() IS 'Row trigger: sets updated_at to the time of the transaction';

CREATE FUNCTION platform.create_month_partitions(p_parent regclass, p_first date, p_months integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent_name CONSTANT text := (SELECT relname FROM pg_class WHERE oid = p_parent);
    month_start date;
    partition_name text;
    made integer := 0;
BEGIN
    FOR step IN 0 .. p_months - 1 LOOP
        month_start := (date_trunc('month', p_first::timestamp) + make_interval(months => step))::date;
        partition_name := parent_name || to_char(month_start, '_YYYY_MM');
        CONTINUE WHEN to_regclass(format('partitions.%I', partition_name)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE partitions.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
            partition_name, p_parent, month_start || ' 00:00:00+00',
            (month_start + interval '1 month')::date || ' 00:00:00+00'
        );
        EXECUTE format('ALTER TABLE partitions.%I ENABLE ROW LEVEL SECURITY', partition_name);
        EXECUTE format('ALTER TABLE partitions.%I FORCE ROW LEVEL SECURITY', partition_name);
        EXECUTE format(
            'COMMENT ON TABLE partitions.%I IS %L',
            partition_name, format('Rows of %s made in %s (UTC)', p_parent, to_char(month_start, 'YYYY-MM'))
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION platform.create_month_partitions(regclass, date, integer) IS
    'Makes the missing month partitions of a table partitioned by timestamp, closed to direct access; returns how many it made';
