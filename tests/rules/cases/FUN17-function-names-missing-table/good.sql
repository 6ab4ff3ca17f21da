CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint PRIMARY KEY, note text, at timestamptz);
CREATE VIEW app.open_orders AS SELECT * FROM app.orders;
CREATE FUNCTION app.rows() RETURNS SETOF app.orders LANGUAGE sql AS 'SELECT * FROM app.orders';
CREATE SEQUENCE app.numbers;
CREATE FUNCTION app.work(wanted text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    app record;
    old_row app.orders;
BEGIN
    -- DELETE FROM app.comment_only
    INSERT INTO app.orders SELECT * FROM app.open_orders;
    PERFORM last_value FROM app.numbers;
    PERFORM * FROM app.rows();
    CREATE TABLE app.made (id bigint);
    INSERT INTO app.made VALUES (1);
    EXECUTE 'DELETE FROM app.dynamic' USING app.id;
    PERFORM extract(year FROM app.at);
    PERFORM 1 WHERE wanted IS DISTINCT FROM app.note;
    PERFORM substring(wanted FROM 2), trim(wanted);
    PERFORM * FROM pg_catalog.pg_class, information_schema.tables;
    PERFORM * FROM elsewhere.unknown;
END $$;
-- asks first, or is ready for the answer
CREATE FUNCTION app.tidy() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('app.old_orders') IS NOT NULL THEN
        DELETE FROM app.old_orders;
    END IF;
END $$;
CREATE FUNCTION app.tidy_other() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM app.other_orders;
EXCEPTION WHEN undefined_table THEN
    NULL;
END $$;
-- relations of an extension
CREATE EXTENSION pg_stat_statements SCHEMA app;
CREATE FUNCTION app.slow() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM app.pg_stat_statements); END $$;
-- a row of a variable, a row of a transition table, a partition by its parent's name
CREATE FUNCTION app.told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.orders AS o (id) SELECT n.id FROM new_rows n ON CONFLICT (id) DO UPDATE SET note = 'again';
    UPDATE ONLY app.orders SET at = now() FROM new_rows n WHERE orders.id = n.id;
    DELETE FROM app.orders USING new_rows n WHERE n.id = orders.id;
    RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT ON app.orders REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION app.told();
CREATE FUNCTION app.tidy_legacy() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_tables WHERE schemaname = 'app' AND tablename = 'legacy') THEN
        DELETE FROM app.legacy;
    END IF;
END $$;
