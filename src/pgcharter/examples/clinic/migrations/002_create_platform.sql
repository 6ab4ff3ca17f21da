-- Migration: Create platform
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: The trigger that keeps updated_at true, month partitions made ahead, and how long rows are kept

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
    parent_name CONSTANT text := (SELECT c.relname FROM pg_class AS c WHERE c.oid = p_parent AND c.relkind = 'p');
    month_start date;
    partition_name text;
    made integer := 0;
BEGIN
    IF parent_name IS NULL THEN
        RAISE EXCEPTION '% is not a partitioned table', coalesce(p_parent::text, 'NULL') USING ERRCODE = 'wrong_object_type';
    END IF;
    IF p_first IS NULL OR p_months IS NULL OR p_months NOT BETWEEN 1 AND 120 THEN
        RAISE EXCEPTION 'between 1 and 120 months can be made at once, beginning with some day' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR step IN 0 .. p_months - 1 LOOP
        month_start := (date_trunc('month', p_first::timestamp) + make_interval(months => step))::date;
        partition_name := parent_name || to_char(month_start, '_YYYY_MM');
        CONTINUE WHEN to_regclass(format('partitions.%I', partition_name)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE partitions.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
            partition_name, p_parent, month_start || ' 00:00:00+00', (month_start + interval '1 month')::date || ' 00:00:00+00'
        );
        EXECUTE format(
            'COMMENT ON TABLE partitions.%I IS %L',
            partition_name, format('Rows of %s from %s (UTC)', p_parent, to_char(month_start, 'YYYY-MM'))
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION platform.create_month_partitions(regclass, date, integer) IS
    'Makes the missing month partitions of a table that is partitioned by timestamp; returns how many it made';

CREATE TABLE platform.retention_rules (
    schema_name VARCHAR(63) NOT NULL,
    table_name VARCHAR(63) NOT NULL,
    keep_for INTERVAL NOT NULL,
    legal_basis VARCHAR(200) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (schema_name, table_name),
    CONSTRAINT retention_rules_keep_for_positive CHECK (keep_for > interval '0')
);

COMMENT ON TABLE platform.retention_rules IS 'How long the rows of partitioned tables are kept; a table without a rule is kept for ever';
COMMENT ON COLUMN platform.retention_rules.schema_name IS 'Schema of the partitioned table [internal]';
COMMENT ON COLUMN platform.retention_rules.table_name IS 'Name of the partitioned table [internal]';
COMMENT ON COLUMN platform.retention_rules.keep_for IS 'Age at which a whole month goes [internal]';
COMMENT ON COLUMN platform.retention_rules.legal_basis IS 'Law or contract that asks for this time [internal]';
COMMENT ON COLUMN platform.retention_rules.created_at IS 'When the rule was made [internal]';
COMMENT ON COLUMN platform.retention_rules.updated_at IS 'When the row last changed [internal]';

CREATE TRIGGER retention_rules_set_updated_at
    BEFORE UPDATE ON platform.retention_rules
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

CREATE FUNCTION platform.drop_expired_partitions(p_parent regclass, p_today date DEFAULT current_date) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept interval;
    expired regclass;
    dropped integer := 0;
BEGIN
    IF p_today IS NULL OR p_today > current_date THEN
        RAISE EXCEPTION 'retention is applied as of a day that has come' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT r.keep_for INTO kept
    FROM platform.retention_rules AS r
    JOIN pg_class AS c ON c.relname = r.table_name AND c.relnamespace = to_regnamespace(quote_ident(r.schema_name))
    WHERE c.oid = p_parent;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    FOR expired IN
        SELECT c.oid::regclass
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = p_parent
        AND substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$TO \('([^']+)'\)$re$)::timestamptz <= p_today - kept
    LOOP
        EXECUTE format('DROP TABLE %s', expired);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

COMMENT ON FUNCTION platform.drop_expired_partitions(regclass, date) IS
    'Drops the months of a partitioned table that are wholly older than its retention rule says; returns how many';
