-- Roles and permissions. House: schema auth, plural, uuid users, smallint lookups, definer functions done right.
CREATE ROLE corpus_rbac_app NOLOGIN;
CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO corpus_rbac_app;

CREATE TABLE auth.users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    login text NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    totp_secret bytea,
    failed_logins smallint NOT NULL DEFAULT 0,
    locked_until timestamptz,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_login_key ON auth.users (lower(login)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email_key ON auth.users (lower(email)) WHERE deleted_at IS NULL;

CREATE TABLE auth.roles (
    id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT ''
);
CREATE TABLE auth.permissions (
    id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource text NOT NULL,
    action text NOT NULL,
    UNIQUE (resource, action)
);
CREATE TABLE auth.role_permissions (
    role_id smallint NOT NULL REFERENCES auth.roles ON DELETE CASCADE,
    permission_id smallint NOT NULL REFERENCES auth.permissions ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
);
CREATE INDEX role_permissions_permission_id_idx ON auth.role_permissions (permission_id);
CREATE TABLE auth.user_roles (
    user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    role_id smallint NOT NULL REFERENCES auth.roles ON DELETE CASCADE,
    granted_by uuid REFERENCES auth.users ON DELETE SET NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (user_id, role_id)
);
CREATE INDEX user_roles_role_id_idx ON auth.user_roles (role_id);
CREATE INDEX user_roles_granted_by_idx ON auth.user_roles (granted_by);

CREATE TABLE auth.sessions (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    ip inet NOT NULL,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (expires_at > created_at)
);
CREATE INDEX sessions_user_id_idx ON auth.sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON auth.sessions (expires_at);

CREATE TABLE auth.api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    prefix char(8) NOT NULL UNIQUE,
    secret_hash text NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX api_keys_user_id_idx ON auth.api_keys (user_id);

CREATE FUNCTION auth.may(who uuid, wanted_resource text, wanted_action text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    -- current_user would be the owner here; who asks is an argument
    SELECT EXISTS (
        SELECT FROM user_roles ur
        JOIN role_permissions USING (role_id)
        JOIN permissions p ON p.id = permission_id
        WHERE ur.user_id = who AND p.resource = wanted_resource AND p.action = wanted_action
          AND (ur.expires_at IS NULL OR ur.expires_at > now())
    )
$$;
REVOKE EXECUTE ON FUNCTION auth.may(uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.may(uuid, text, text) TO corpus_rbac_app;
GRANT SELECT ON auth.users, auth.roles TO corpus_rbac_app;
GRANT SELECT, INSERT, DELETE ON auth.sessions TO corpus_rbac_app;
