-- right: tenants in rows, as they should be: forced, restrictive and permissive policies, keys with the tenant, views with the caller's rights
CREATE ROLE prb_owner NOLOGIN;
CREATE ROLE prb_api LOGIN;
CREATE ROLE prb_reports LOGIN;
CREATE ROLE prb_maintenance NOLOGIN BYPASSRLS;
CREATE SCHEMA app AUTHORIZATION prb_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA app TO prb_api, prb_reports, prb_maintenance;
SET ROLE prb_owner;

CREATE FUNCTION app.tenant() RETURNS uuid LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$;

CREATE TYPE app.status AS ENUM ('open', 'paid', 'gone');
CREATE TABLE app.countries (code char(2) PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.tenants (id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.customers (
    tenant_id uuid NOT NULL DEFAULT app.tenant() REFERENCES app.tenants,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    email text NOT NULL CHECK (email ~ '@'),
    country char(2) NOT NULL REFERENCES app.countries,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email)
);
CREATE TABLE app.orders (
    tenant_id uuid NOT NULL DEFAULT app.tenant(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    customer_id uuid NOT NULL,
    status app.status NOT NULL DEFAULT 'open',
    total numeric(10, 2) NOT NULL CHECK (total >= 0),
    note text,
    placed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES app.customers ON DELETE CASCADE
);
CREATE TABLE app.order_items (
    tenant_id uuid NOT NULL DEFAULT app.tenant(),
    order_id bigint NOT NULL,
    line integer NOT NULL,
    article text NOT NULL,
    PRIMARY KEY (tenant_id, order_id, line),
    FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders ON DELETE CASCADE
);
CREATE TABLE app.visits (
    tenant_id uuid NOT NULL DEFAULT app.tenant(),
    seen_at timestamptz NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (seen_at);
CREATE TABLE app.visits_2026 PARTITION OF app.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.visits_2027 PARTITION OF app.visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE INDEX ON app.orders (tenant_id, customer_id);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['customers', 'orders', 'order_items', 'visits'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON app.%I USING (tenant_id = app.tenant()) WITH CHECK (tenant_id = app.tenant())', t);
        EXECUTE format('CREATE POLICY only_tenant ON app.%I AS RESTRICTIVE USING (tenant_id = app.tenant())', t);
    END LOOP;
END $$;
ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.tenants USING (id = app.tenant());

CREATE VIEW app.open_orders WITH (security_invoker = true) AS
    SELECT o.tenant_id, o.id, o.total, c.email FROM app.orders o JOIN app.customers c USING (tenant_id) WHERE o.status = 'open';
CREATE VIEW app.mine WITH (security_invoker = true, security_barrier = true) AS SELECT tenant_id, id, customer_id, total, note FROM app.orders;
CREATE SEQUENCE app.numbers;
CREATE FUNCTION app.revenue() RETURNS numeric LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(sum(total), 0) FROM app.orders $$;
CREATE FUNCTION app.close_order(p_id bigint) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE n integer;
BEGIN
    UPDATE app.orders SET status = 'gone' WHERE id = p_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
CREATE FUNCTION app.my_orders() RETURNS bigint LANGUAGE sql SECURITY DEFINER STABLE SET search_path = app, pg_temp
    AS $$ SELECT count(*) FROM orders WHERE tenant_id = tenant() $$;
CREATE FUNCTION app.touched() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.note := coalesce(NEW.note, 'none');
    RETURN NEW;
END $$;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touched();
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO prb_api, prb_reports;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.customers, app.orders, app.order_items, app.visits TO prb_api, prb_maintenance;
GRANT SELECT ON app.countries, app.tenants, app.open_orders TO prb_api, prb_reports;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.mine TO prb_api;
GRANT SELECT ON app.orders, app.order_items TO prb_reports;
GRANT SELECT (tenant_id, id, country) ON app.customers TO prb_reports;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO prb_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO prb_api;
RESET ROLE;
