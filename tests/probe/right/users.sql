-- right: tenants, and in them rows of single users, by a restrictive policy; notes of a tenant that all may read and only the author changes
CREATE ROLE prb_owner NOLOGIN;
CREATE ROLE prb_api LOGIN;
CREATE SCHEMA app AUTHORIZATION prb_owner;
GRANT USAGE ON SCHEMA app TO prb_api;
SET ROLE prb_owner;
CREATE TABLE app.tenants (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.users (tenant_id bigint NOT NULL REFERENCES app.tenants, id bigint NOT NULL, email text NOT NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE app.drafts (
    tenant_id bigint NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), user_id bigint NOT NULL, body text,
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, user_id) REFERENCES app.users
);
CREATE TABLE app.notes (
    tenant_id bigint NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), user_id bigint NOT NULL, body text,
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, user_id) REFERENCES app.users
);
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['users', 'drafts', 'notes'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($f$CREATE POLICY tenant ON app.%I AS RESTRICTIVE
            USING (tenant_id = nullif(current_setting('pgcharter.tenant', true), '')::bigint)$f$, t);
        EXECUTE format($f$CREATE POLICY rows ON app.%I FOR SELECT
            USING (tenant_id = nullif(current_setting('pgcharter.tenant', true), '')::bigint)$f$, t);
    END LOOP;
END $$;
CREATE POLICY own ON app.drafts AS RESTRICTIVE USING (user_id = nullif(current_setting('pgcharter.actor', true), '')::bigint);
CREATE POLICY changes ON app.drafts USING (user_id = nullif(current_setting('pgcharter.actor', true), '')::bigint);
CREATE POLICY adds ON app.notes FOR INSERT WITH CHECK (user_id = nullif(current_setting('pgcharter.actor', true), '')::bigint);
CREATE POLICY changes ON app.notes FOR UPDATE USING (user_id = nullif(current_setting('pgcharter.actor', true), '')::bigint);
GRANT SELECT ON app.users TO prb_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.drafts, app.notes TO prb_api;
RESET ROLE;
