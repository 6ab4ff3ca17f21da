-- Description: Organisations with a directory of their own, which sees only its own rows

-- Row security holds for every role that is no superuser and has no BYPASSRLS. FORCE includes the owner of the tables, who would
-- otherwise see everything, and with the owner every function that runs with the owner's rights.

-- The keys of tenants are made by whoever provisions them, so that one transaction can set the tenant and then write its rows.
CREATE TABLE app.tenants (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(100) NOT NULL,
    is_active BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT ck_tenants_name_not_blank CHECK (btrim(name) <> '')
);

CREATE UNIQUE INDEX idx_tenants_name ON app.tenants (lower(name));

CREATE TRIGGER trg_tenants_set_updated_at BEFORE UPDATE ON app.tenants
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON app.tenants
    USING (id = app.current_tenant_id())
    WITH CHECK (id = app.current_tenant_id());

-- Names are unique among all tenants, and an error would tell one tenant of another: only administrators write here.
REVOKE INSERT, UPDATE, DELETE ON app.tenants FROM app_readwrite;

COMMENT ON TABLE app.tenants IS 'Organisations that manage users of their own';
COMMENT ON COLUMN app.tenants.id IS 'Key, and the value that app.current_tenant_id must have to see the tenant''s rows';
COMMENT ON COLUMN app.tenants.name IS 'Name of the organisation; unique whatever its case';
COMMENT ON COLUMN app.tenants.is_active IS 'False while its users may not sign in';
COMMENT ON COLUMN app.tenants.created_at IS 'When the organisation was set up';
COMMENT ON COLUMN app.tenants.updated_at IS 'When the row last changed';

CREATE TABLE app.tenant_users (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id UUID NOT NULL,
    username VARCHAR(100) NOT NULL,
    email VARCHAR(255) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_tenant_users_tenant_id FOREIGN KEY (tenant_id) REFERENCES app.tenants (id) ON DELETE CASCADE,
    CONSTRAINT ck_tenant_users_email_format CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$')
);

-- Unique within the tenant, or an error would tell one tenant whom another has. Beginning with tenant_id, these indexes serve the
-- foreign key and the condition that the policy adds to every query.
CREATE UNIQUE INDEX idx_tenant_users_tenant_id_username ON app.tenant_users (tenant_id, lower(username));
CREATE UNIQUE INDEX idx_tenant_users_tenant_id_email ON app.tenant_users (tenant_id, lower(email));

CREATE TRIGGER trg_tenant_users_set_updated_at BEFORE UPDATE ON app.tenant_users
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

ALTER TABLE app.tenant_users ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenant_users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON app.tenant_users
    USING (tenant_id = app.current_tenant_id())
    WITH CHECK (tenant_id = app.current_tenant_id());

COMMENT ON TABLE app.tenant_users IS 'Users that an organisation manages itself';
COMMENT ON COLUMN app.tenant_users.id IS 'Key, stable when name and address change';
COMMENT ON COLUMN app.tenant_users.tenant_id IS 'Organisation the user belongs to';
COMMENT ON COLUMN app.tenant_users.username IS 'Name within the organisation; unique there whatever its case';
COMMENT ON COLUMN app.tenant_users.email IS 'Address; unique within the organisation whatever its case';
COMMENT ON COLUMN app.tenant_users.created_at IS 'When the user was added';
COMMENT ON COLUMN app.tenant_users.updated_at IS 'When the row last changed';
