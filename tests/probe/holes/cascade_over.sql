-- broken: a definer trigger clears visits of everybody when an order goes
-- says: prb_api | table app.orders | DELETE own
CREATE FUNCTION app.clear() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$ BEGIN
    DELETE FROM visits; RETURN NULL; END $$;
ALTER FUNCTION app.clear() OWNER TO prb_maintenance;
CREATE TRIGGER clear AFTER DELETE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.clear();
