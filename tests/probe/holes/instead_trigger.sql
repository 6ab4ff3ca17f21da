-- broken: a trigger instead of UPDATE runs as a definer
-- says: prb_api | view app.totals_of_orders | UPDATE
CREATE VIEW app.totals_of_orders AS SELECT DISTINCT tenant_id, id, note FROM app.orders;
CREATE FUNCTION app.set_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN UPDATE app.orders SET note = NEW.note WHERE id = OLD.id; RETURN NEW; END $$;
CREATE TRIGGER set_note INSTEAD OF UPDATE ON app.totals_of_orders FOR EACH ROW EXECUTE FUNCTION app.set_note();
GRANT SELECT, UPDATE ON app.totals_of_orders TO prb_api;
