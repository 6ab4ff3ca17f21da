-- broken: every new order is told to whoever listens, values and all; any login may listen
-- says: PUBLIC | table app.orders | LISTEN
CREATE FUNCTION app.tell() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    PERFORM pg_notify('orders', row_to_json(NEW)::text); RETURN NULL; END $$;
REVOKE EXECUTE ON FUNCTION app.tell() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.tell() TO prb_api, prb_maintenance;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.tell();
