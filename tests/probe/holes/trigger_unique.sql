-- broken: a trigger looks for the same e-mail address in all tenants and says so
-- says: prb_api | table app.customers | values of others
CREATE FUNCTION app.only_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$ BEGIN
    IF EXISTS (SELECT FROM customers c WHERE c.email = NEW.email AND c.tenant_id <> NEW.tenant_id) THEN RAISE EXCEPTION 'e-mail taken'; END IF;
    RETURN NEW; END $$;
ALTER FUNCTION app.only_once() OWNER TO prb_maintenance;
CREATE TRIGGER only_once BEFORE INSERT ON app.customers FOR EACH ROW EXECUTE FUNCTION app.only_once();
