-- broken: a trigger writes what changed into a history without tenants, which readers may read
-- says: prb_reports | table app.history | SELECT
CREATE TABLE app.history (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL, row jsonb NOT NULL);
GRANT SELECT ON app.history TO prb_reports;
CREATE FUNCTION app.remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$ BEGIN
    INSERT INTO history (what, row) VALUES (TG_TABLE_NAME, to_jsonb(NEW)); RETURN NULL; END $$;
REVOKE EXECUTE ON FUNCTION app.remember() FROM PUBLIC;
CREATE TRIGGER remember AFTER INSERT OR UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.remember();
