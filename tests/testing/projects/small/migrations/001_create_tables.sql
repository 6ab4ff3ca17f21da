CREATE SCHEMA app;
CREATE TABLE app.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE app.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES app.customers DEFERRABLE INITIALLY DEFERRED,
    total numeric(10, 2) NOT NULL CHECK (total >= 0),
    touched_at timestamptz,
    day date NOT NULL DEFAULT CURRENT_DATE
);
CREATE INDEX orders_customer_id_idx ON app.orders (customer_id);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.touched_at := now(); RETURN NEW; END$$;
CREATE TRIGGER touch BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE FUNCTION app.bound() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS 'SELECT now()';
CREATE VIEW app.moments AS SELECT now() AS at;
