CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint PRIMARY KEY, note text);
CREATE FUNCTION app.archive() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.old_orders SELECT * FROM app.orders;
    DELETE FROM app."Old Orders" WHERE id = 1;
    UPDATE app.old_orders SET note = '';
END $$;
CREATE TABLE app.gone (id bigint);
CREATE FUNCTION app.counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.gone';
DROP TABLE app.gone;
