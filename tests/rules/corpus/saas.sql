-- Tenants kept apart by row security. House: schema app, uuid keys, tenant_id first in every key, owner nobody logs in as.
CREATE ROLE corpus_saas_owner NOLOGIN;
CREATE ROLE corpus_saas_app NOLOGIN;
CREATE ROLE corpus_saas_support NOLOGIN;
CREATE SCHEMA app AUTHORIZATION corpus_saas_owner;
SET ROLE corpus_saas_owner;
GRANT USAGE ON SCHEMA app TO corpus_saas_app, corpus_saas_support;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO corpus_saas_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO corpus_saas_support;

CREATE FUNCTION app.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;

CREATE TABLE app.tenants (
    tenant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    plan text NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'team', 'enterprise')),
    host_name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.tenants USING (tenant_id = (SELECT app.tenant()));

CREATE TABLE app.members (
    tenant_id uuid NOT NULL REFERENCES app.tenants ON DELETE CASCADE,
    member_id uuid NOT NULL DEFAULT gen_random_uuid(),
    email text NOT NULL,
    role text NOT NULL DEFAULT 'editor' CHECK (role IN ('admin', 'editor', 'viewer')),
    PRIMARY KEY (tenant_id, member_id)
);
CREATE UNIQUE INDEX members_email_key ON app.members (tenant_id, lower(email));

CREATE TABLE app.projects (
    tenant_id uuid NOT NULL REFERENCES app.tenants ON DELETE CASCADE,
    project_id uuid NOT NULL DEFAULT gen_random_uuid(),
    owner_id uuid,
    name text NOT NULL,
    is_public boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, project_id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES app.members ON DELETE SET NULL (owner_id)
);
CREATE INDEX projects_owner_idx ON app.projects (tenant_id, owner_id);

CREATE TABLE app.documents (
    tenant_id uuid NOT NULL,
    document_id uuid NOT NULL DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL,
    title text NOT NULL,
    body text NOT NULL DEFAULT '',
    locked boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, document_id),
    FOREIGN KEY (tenant_id, project_id) REFERENCES app.projects ON DELETE CASCADE
);
CREATE INDEX documents_project_idx ON app.documents (tenant_id, project_id);

ALTER TABLE app.members ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.members FORCE ROW LEVEL SECURITY;
ALTER TABLE app.projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.projects FORCE ROW LEVEL SECURITY;
ALTER TABLE app.documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.documents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.members USING (tenant_id = (SELECT app.tenant()));
CREATE POLICY tenant ON app.projects USING (tenant_id = (SELECT app.tenant()));
CREATE POLICY tenant ON app.documents USING (tenant_id = (SELECT app.tenant())) WITH CHECK (tenant_id = (SELECT app.tenant()));
-- Locked documents are not edited, whoever asks: AND, not OR.
CREATE POLICY unlocked ON app.documents AS RESTRICTIVE FOR UPDATE USING (NOT locked);
-- Support reads everything, and only reads.
CREATE POLICY support ON app.documents FOR SELECT TO corpus_saas_support USING (true);
CREATE POLICY support ON app.projects FOR SELECT TO corpus_saas_support USING (true);

CREATE VIEW app.open_documents WITH (security_invoker = true) AS
    SELECT d.tenant_id, d.document_id, d.title, p.name AS project
    FROM app.documents d JOIN app.projects p USING (tenant_id, project_id) WHERE NOT d.locked;

CREATE FUNCTION app.work_for(tenant uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.tenant_id', tenant::text, true);
END $$;
RESET ROLE;
