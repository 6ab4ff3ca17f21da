-- right: what looks like a hole and is none: triggers, functions and notices that keep to the tenant; rows of the platform for all to read
CREATE ROLE prb_owner NOLOGIN;
CREATE ROLE prb_jobs NOLOGIN BYPASSRLS;
CREATE ROLE prb_api LOGIN;
CREATE ROLE prb_team NOLOGIN;
GRANT prb_team TO prb_api WITH ADMIN OPTION;
ALTER ROLE prb_api SET search_path = app, public;
ALTER ROLE prb_api SET app.timezone = 'UTC';
CREATE SCHEMA app AUTHORIZATION prb_owner;
GRANT USAGE ON SCHEMA app TO prb_api, prb_jobs;
SET ROLE prb_owner;
CREATE FUNCTION app.tenant() RETURNS uuid LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$;
CREATE TABLE app.tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
CREATE TABLE app.members (tenant_id uuid NOT NULL DEFAULT app.tenant() REFERENCES app.tenants, login text NOT NULL, PRIMARY KEY (tenant_id, login));
CREATE TABLE app.orders (
    tenant_id uuid NOT NULL DEFAULT app.tenant() REFERENCES app.tenants, id uuid NOT NULL DEFAULT gen_random_uuid(), reference text NOT NULL,
    email text NOT NULL, note text, PRIMARY KEY (tenant_id, id), CONSTRAINT one UNIQUE (tenant_id, reference) DEFERRABLE INITIALLY DEFERRED,
    EXCLUDE USING btree (tenant_id WITH =, email WITH =)
);
CREATE UNIQUE INDEX ON app.orders (tenant_id, note) WHERE note IS NOT NULL;
CREATE TABLE app.history (
    tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL, row jsonb NOT NULL
);
CREATE TABLE app.templates (tenant_id uuid NOT NULL DEFAULT app.tenant(), id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL);
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['members', 'orders', 'history'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON app.%I USING (tenant_id = app.tenant())', t);
    END LOOP;
END $$;
ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.tenants USING (id = app.tenant());
ALTER TABLE app.templates ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY reading ON app.templates FOR SELECT
    USING (tenant_id = app.tenant() OR (app.tenant() IS NOT NULL AND tenant_id = '99999999-0000-4000-8000-000000000001'));
CREATE POLICY adding ON app.templates FOR INSERT WITH CHECK (tenant_id = app.tenant());
CREATE POLICY changing ON app.templates FOR UPDATE USING (tenant_id = app.tenant());
CREATE POLICY ending ON app.templates FOR DELETE USING (tenant_id = app.tenant());

CREATE FUNCTION app.remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$ BEGIN
    INSERT INTO history (tenant_id, what, row) VALUES (coalesce(NEW.tenant_id, OLD.tenant_id), TG_OP, to_jsonb(coalesce(NEW, OLD))); RETURN NULL; END $$;
CREATE TRIGGER remember AFTER INSERT OR UPDATE OR DELETE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.remember();
CREATE FUNCTION app.tell() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    PERFORM pg_notify('orders', NEW.id::text); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER tell AFTER INSERT OR UPDATE ON app.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.tell();
CREATE FUNCTION app.find_order(p_email text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT id FROM orders WHERE email = p_email AND tenant_id = tenant() $$;
CREATE FUNCTION app.request(body jsonb) RETURNS jsonb LANGUAGE sql STABLE SET search_path = app, pg_temp
    AS $$ SELECT jsonb_agg(o) FROM orders o WHERE tenant_id = (body ->> 'tenant_id')::uuid $$;
CREATE FUNCTION app.label(app.orders) RETURNS text LANGUAGE sql STABLE SET search_path = app, pg_temp AS $$ SELECT $1.reference || ' ' || $1.email $$;
CREATE FUNCTION app.register(p_name text) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$
DECLARE new uuid := gen_random_uuid(); BEGIN
    INSERT INTO tenants (id, name) VALUES (new, p_name);
    INSERT INTO members VALUES (new, 'first');
    RETURN new; END $$;
CREATE PROCEDURE app.clear_own() LANGUAGE sql SET search_path = app, pg_temp AS $$ DELETE FROM orders $$;
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA app FROM PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA app TO prb_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO prb_jobs;
GRANT SELECT, DELETE ON app.orders TO prb_api;
GRANT INSERT (reference, email, note), UPDATE (reference, email, note) ON app.orders TO prb_api;
GRANT SELECT ON app.history, app.members, app.tenants TO prb_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.templates TO prb_api;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO prb_jobs;
RESET ROLE;
ALTER FUNCTION app.register(text) OWNER TO prb_jobs;
