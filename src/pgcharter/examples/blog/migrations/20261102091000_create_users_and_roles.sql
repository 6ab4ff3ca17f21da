-- Migration: Create users and roles
-- Description: Accounts with soft deletion, and what each may do

-- Up Migration
BEGIN;

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email VARCHAR(255) NOT NULL,
    username VARCHAR(50),
    password_hash VARCHAR(255) NOT NULL,
    status VARCHAR(20) NOT NULL DEFAULT 'active',
    version INTEGER NOT NULL DEFAULT 1,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT chk_users_status CHECK (status IN ('active', 'suspended', 'closed')),
    CONSTRAINT chk_users_email_format CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT chk_users_username_format CHECK (username ~ '^[A-Za-z0-9_]{3,50}$'),
    CONSTRAINT chk_users_deleted_is_closed CHECK ((deleted_at IS NULL) = (status <> 'closed'))
);

-- One living account for an address or a name, whatever its case; a closed account frees both.
CREATE UNIQUE INDEX idx_users_email ON users (lower(email)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX idx_users_username ON users (lower(username)) WHERE deleted_at IS NULL;

COMMENT ON TABLE users IS 'Accounts of readers and authors; closed ones stay, marked by deleted_at';
COMMENT ON COLUMN users.email IS 'Address the user signs in with; unique among living accounts without regard to case';
COMMENT ON COLUMN users.username IS 'Name shown beside posts and comments; null until the user chooses one';
COMMENT ON COLUMN users.password_hash IS 'Argon2id hash in its modular form, never the password';
COMMENT ON COLUMN users.version IS 'Counts the changes of the row, for optimistic locking';
COMMENT ON COLUMN users.deleted_at IS 'When the account was closed; null while it lives';

CREATE TRIGGER trg_users_set_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_users_count_version BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION count_version();

CREATE TABLE roles (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(50) NOT NULL,
    description VARCHAR(500) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_roles_name UNIQUE (name),
    CONSTRAINT chk_roles_name_format CHECK (name ~ '^[a-z_]+$')
);

COMMENT ON TABLE roles IS 'What users may do in the application; not roles of PostgreSQL';

CREATE TRIGGER trg_roles_set_updated_at BEFORE UPDATE ON roles
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE user_roles (
    user_id UUID NOT NULL,
    role_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role_id),
    CONSTRAINT fk_user_roles_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_user_roles_role_id FOREIGN KEY (role_id) REFERENCES roles (id) ON DELETE RESTRICT
);

CREATE INDEX idx_user_roles_role_id ON user_roles (role_id);

COMMENT ON TABLE user_roles IS 'Which user has which roles';
COMMENT ON COLUMN user_roles.created_at IS 'When the role was given';

-- Whoever only reads has no business with addresses and hashes, and nobody hands out roles by reading.
REVOKE SELECT ON users FROM blog_reader;
GRANT SELECT (id, username, status, created_at, deleted_at) ON users TO blog_reader;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE user_roles;
DROP TABLE roles;
DROP TABLE users;

COMMIT;
