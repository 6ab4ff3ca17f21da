-- Migration: Create identity tables
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Tenants and users, each tenant seeing only its own rows

CREATE TYPE identity.user_role AS ENUM ('customer', 'vendor', 'admin', 'support');
COMMENT ON TYPE identity.user_role IS 'What a user may do in a tenant';

CREATE TABLE identity.tenants (
    tenant_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_name VARCHAR(255) NOT NULL,
    tenant_code VARCHAR(8) NOT NULL,
    currency_code VARCHAR(3) NOT NULL,
    settings JSONB NOT NULL DEFAULT '{}',
    is_active BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_tenants_tenant_name UNIQUE (tenant_name),
    CONSTRAINT uq_tenants_tenant_code UNIQUE (tenant_code),
    CONSTRAINT chk_tenants_tenant_code_format CHECK (tenant_code ~ '^[A-Z]{2,8}$'),
    CONSTRAINT chk_tenants_currency_code_format CHECK (currency_code ~ '^[A-Z]{3}$'),
    CONSTRAINT chk_tenants_settings_object CHECK (jsonb_typeof(settings) = 'object')
);

COMMENT ON TABLE identity.tenants IS 'Marketplaces that share this database';
COMMENT ON COLUMN identity.tenants.tenant_id IS 'Key, and the value that app.current_tenant_id must have to see the tenant''s rows';
COMMENT ON COLUMN identity.tenants.tenant_name IS 'Name of the marketplace as customers see it';
COMMENT ON COLUMN identity.tenants.tenant_code IS 'Short upper-case code at the beginning of its order numbers';
COMMENT ON COLUMN identity.tenants.currency_code IS 'ISO 4217 code of the currency it trades in';
COMMENT ON COLUMN identity.tenants.settings IS 'Settings of this tenant, a JSON object';
COMMENT ON COLUMN identity.tenants.is_active IS 'Whether the marketplace takes orders';
COMMENT ON COLUMN identity.tenants.created_at IS 'When the tenant was set up';
COMMENT ON COLUMN identity.tenants.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_tenants_set_updated_at
    BEFORE UPDATE ON identity.tenants
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE identity.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON identity.tenants
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

-- Names and codes are unique among all tenants, so only administrators may try them.
REVOKE INSERT, UPDATE, DELETE ON identity.tenants FROM shop_readwrite;
GRANT UPDATE (settings) ON identity.tenants TO shop_readwrite;

CREATE TABLE identity.users (
    user_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    email VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    first_name VARCHAR(100) NOT NULL,
    last_name VARCHAR(100) NOT NULL,
    phone_number VARCHAR(16),
    date_of_birth DATE,
    user_role identity.user_role NOT NULL DEFAULT 'customer',
    is_active BOOLEAN NOT NULL DEFAULT true,
    is_email_verified BOOLEAN NOT NULL DEFAULT false,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT uq_users_tenant_id_user_id UNIQUE (tenant_id, user_id),
    CONSTRAINT fk_users_tenant_id FOREIGN KEY (tenant_id)
        REFERENCES identity.tenants (tenant_id) ON DELETE RESTRICT,
    CONSTRAINT chk_users_email_format CHECK (email ~* '^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$'),
    CONSTRAINT chk_users_password_hash_format CHECK (password_hash LIKE '$%'),
    CONSTRAINT chk_users_phone_number_format CHECK (phone_number ~ '^\+[1-9][0-9]{6,14}$'),
    CONSTRAINT chk_users_deleted_at_inactive CHECK (deleted_at IS NULL OR NOT is_active)
);

-- One live account per address and tenant, whatever its case; a deleted account frees the address.
CREATE UNIQUE INDEX idx_users_tenant_id_email ON identity.users (tenant_id, lower(email)) WHERE deleted_at IS NULL;

COMMENT ON TABLE identity.users IS 'Accounts of customers, vendors, administrators and support staff';
COMMENT ON COLUMN identity.users.user_id IS 'Key, stable for life; log-in names may change, so other systems keep this';
COMMENT ON COLUMN identity.users.tenant_id IS 'Tenant the account belongs to';
COMMENT ON COLUMN identity.users.email IS 'Address the user signs in with; unique among live accounts of the tenant without regard to case';
COMMENT ON COLUMN identity.users.password_hash IS 'Argon2id hash in its modular form; never the password';
COMMENT ON COLUMN identity.users.first_name IS 'Given name';
COMMENT ON COLUMN identity.users.last_name IS 'Family name';
COMMENT ON COLUMN identity.users.phone_number IS 'Telephone number in E.164 form';
COMMENT ON COLUMN identity.users.date_of_birth IS 'Date of birth where the user gave it; the age limit is checked on write';
COMMENT ON COLUMN identity.users.user_role IS 'What the user may do';
COMMENT ON COLUMN identity.users.is_active IS 'Whether the user may sign in';
COMMENT ON COLUMN identity.users.is_email_verified IS 'Whether the user has proved to own the address';
COMMENT ON COLUMN identity.users.created_at IS 'When the account was opened';
COMMENT ON COLUMN identity.users.updated_at IS 'When the row last changed';
COMMENT ON COLUMN identity.users.deleted_at IS 'When the account was closed; null while it is live';

CREATE TRIGGER trg_users_set_updated_at
    BEFORE UPDATE ON identity.users
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE identity.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity.users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON identity.users
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

-- A CHECK with CURRENT_DATE would be true today and false when a dump is restored, so the age limit is checked when it is written.
CREATE FUNCTION identity.check_minimum_age() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.date_of_birth > current_date - interval '13 years' THEN
        RAISE EXCEPTION 'user % is younger than 13 years', NEW.user_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION identity.check_minimum_age() IS 'Row trigger: refuses accounts of people younger than 13 years';

CREATE TRIGGER trg_users_check_minimum_age
    BEFORE INSERT OR UPDATE OF date_of_birth ON identity.users
    FOR EACH ROW EXECUTE FUNCTION identity.check_minimum_age();
