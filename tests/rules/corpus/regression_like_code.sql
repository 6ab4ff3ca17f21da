-- Views, rules, triggers, procedures, event triggers, statistics: code inside the database that does what it says.
CREATE SCHEMA staff;
CREATE TABLE staff.departments (
    department_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    headcount integer NOT NULL DEFAULT 0 CHECK (headcount >= 0)
);
CREATE TABLE staff.people (
    person_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    department_id integer NOT NULL REFERENCES staff.departments ON DELETE RESTRICT,
    login name NOT NULL UNIQUE,
    family text NOT NULL,
    given text NOT NULL,
    hired_on date NOT NULL DEFAULT CURRENT_DATE,
    left_on date,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (left_on >= hired_on)
);
CREATE INDEX ON staff.people (department_id);
CREATE STATISTICS staff.people_names ON family, given FROM staff.people;
CREATE STATISTICS staff.people_years ON (date_part('year', hired_on)) FROM staff.people;

CREATE FUNCTION staff.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON staff.people FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION staff.touch();

CREATE FUNCTION staff.count_heads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE staff.departments d SET headcount = d.headcount + c.n
    FROM (SELECT department_id, count(*) AS n FROM added GROUP BY department_id) c WHERE c.department_id = d.department_id;
    RETURN NULL;
END $$;
CREATE FUNCTION staff.uncount_heads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE staff.departments d SET headcount = d.headcount - c.n
    FROM (SELECT department_id, count(*) AS n FROM removed GROUP BY department_id) c WHERE c.department_id = d.department_id;
    RETURN NULL;
END $$;
CREATE TRIGGER counted AFTER INSERT ON staff.people REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION staff.count_heads();
CREATE TRIGGER uncounted AFTER DELETE ON staff.people REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION staff.uncount_heads();

-- asked at COMMIT
CREATE FUNCTION staff.at_least_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM staff.people p WHERE p.department_id = OLD.department_id) THEN
        RAISE EXCEPTION 'department % would be empty', OLD.department_id;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER never_empty AFTER DELETE ON staff.people DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION staff.at_least_one();

CREATE VIEW staff.present WITH (security_barrier) AS
SELECT person_id, department_id, login, family, given, hired_on FROM staff.people WHERE left_on IS NULL WITH LOCAL CHECK OPTION;
CREATE VIEW staff.present_here WITH (security_invoker) AS
SELECT * FROM staff.present WHERE department_id = (SELECT p.department_id FROM staff.people p WHERE p.login = CURRENT_USER) WITH CASCADED CHECK OPTION;
CREATE VIEW staff.reporting (year, hires) AS SELECT date_part('year', hired_on), count(*) FROM staff.people GROUP BY 1;
CREATE VIEW staff.numbers (n) AS WITH RECURSIVE counted (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 100) SELECT n FROM counted;

-- a view over two tables that a trigger makes writable
CREATE VIEW staff.directory AS
SELECT p.person_id, p.family, p.given, d.name AS department FROM staff.people p JOIN staff.departments d USING (department_id);
CREATE FUNCTION staff.write_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE staff.people SET family = NEW.family, given = NEW.given WHERE person_id = OLD.person_id;
    RETURN NEW;
END $$;
CREATE TRIGGER write_through INSTEAD OF UPDATE ON staff.directory FOR EACH ROW EXECUTE FUNCTION staff.write_directory();

CREATE MATERIALIZED VIEW staff.by_year AS
SELECT date_part('year', hired_on)::integer AS year, department_id, count(*) AS hires FROM staff.people GROUP BY 1, 2;
CREATE UNIQUE INDEX ON staff.by_year (year, department_id);
CREATE INDEX ON staff.by_year (department_id);

CREATE PROCEDURE staff.move(person integer, target integer) LANGUAGE sql
BEGIN ATOMIC
    UPDATE staff.people SET department_id = target WHERE person_id = person;
END;
CREATE PROCEDURE staff.forget_old(before date, INOUT removed bigint DEFAULT 0) LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    LOOP
        DELETE FROM staff.people WHERE ctid = ANY (ARRAY(SELECT ctid FROM staff.people WHERE left_on < before LIMIT 1000));
        GET DIAGNOSTICS n = ROW_COUNT;
        removed := removed + n;
        EXIT WHEN n = 0;
        COMMIT;
    END LOOP;
END $$;

CREATE FUNCTION staff.search(term text DEFAULT NULL, VARIADIC departments integer[] DEFAULT '{}')
    RETURNS TABLE (person_id integer, whole_name text) LANGUAGE sql STABLE ROWS 50 AS $$
    SELECT p.person_id, p.given || ' ' || p.family FROM staff.people p
    WHERE (term IS NULL OR p.family ILIKE '%' || term || '%') AND (departments = '{}' OR p.department_id = ANY (departments))
$$;
CREATE FUNCTION staff.first_of(anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1[1]';
CREATE FUNCTION staff.outer_row(OUT a integer, OUT b text) RETURNS SETOF record LANGUAGE sql STABLE AS 'SELECT 1, ''x''';

-- works on a temporary table of its own and on a schema that it makes
CREATE FUNCTION staff.rebuild() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part text;
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS worklist (person_id integer) ON COMMIT DELETE ROWS;
    INSERT INTO worklist SELECT person_id FROM staff.people;
    INSERT INTO pg_temp.worklist SELECT person_id FROM staff.present;
    FOR part IN SELECT format('people_%s', y) FROM generate_series(2020, 2022) y LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS staff.%I (LIKE staff.people)', part);
        EXECUTE format('DROP TABLE staff.%I', part);
    END LOOP;
    PERFORM 1 FROM information_schema.tables t WHERE t.table_schema = 'staff' FOR UPDATE OF t;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'views cannot be locked: %', SQLERRM;
END $$;

CREATE FUNCTION staff.tell_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG '% on %', tg_event, tg_tag;
END $$;
CREATE EVENT TRIGGER regression_like_told ON ddl_command_end WHEN TAG IN ('DROP TABLE', 'ALTER TABLE') EXECUTE FUNCTION staff.tell_ddl();

CREATE SEQUENCE staff.badge_numbers AS integer START WITH 100 MAXVALUE 99999 CYCLE;
CREATE SEQUENCE staff.countdown INCREMENT BY -1 MINVALUE -1000 START WITH -1 CACHE 10;
CREATE UNLOGGED TABLE staff.session_cache (cache_key text PRIMARY KEY, value jsonb NOT NULL, expires_at timestamptz NOT NULL);
CREATE INDEX ON staff.session_cache (expires_at);
