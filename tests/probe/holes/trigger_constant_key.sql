-- broken: the same into a table whose foreign key asks for that tenant to be there
-- says: prb_api | table app.orders | UPDATE own
CREATE TABLE app.outbox (tenant_id uuid NOT NULL REFERENCES app.tenants, id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text);
ALTER TABLE app.outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.outbox USING (tenant_id = app.tenant());
GRANT INSERT ON app.outbox TO prb_maintenance;
CREATE FUNCTION app.to_outbox() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$ BEGIN
    INSERT INTO app.outbox (tenant_id, body) VALUES ('99999999-0000-4000-8000-000000000001', NEW.note); RETURN NULL; END $$;
ALTER FUNCTION app.to_outbox() OWNER TO prb_maintenance;
CREATE TRIGGER to_outbox AFTER UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.to_outbox();
