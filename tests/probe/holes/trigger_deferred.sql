-- broken: the trigger waits for COMMIT, and writes a row of one fixed tenant then
-- says: prb_api | table app.orders | INSERT own
CREATE FUNCTION app.also_platform() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$ BEGIN
    INSERT INTO app.visits VALUES ('99999999-0000-4000-8000-000000000001', '2026-05-01', 'order'); RETURN NULL; END $$;
ALTER FUNCTION app.also_platform() OWNER TO prb_maintenance;
CREATE CONSTRAINT TRIGGER also_platform AFTER INSERT ON app.orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION app.also_platform();
