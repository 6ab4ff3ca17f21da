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
