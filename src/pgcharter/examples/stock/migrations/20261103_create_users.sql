-- Migration: Create users
-- Description: Accounts

-- Up Migration
BEGIN;

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_email_verified BOOLEAN NOT NULL DEFAULT false,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT ck_users_email_format CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT ck_users_password_hash_format CHECK (password_hash LIKE '$%')
);

-- One account for an address, whatever its case. This is the index to look it up by, too: WHERE lower(email) = lower($1).
CREATE UNIQUE INDEX uq_users_email ON users (lower(email));

COMMENT ON TABLE users IS 'Accounts of the people who trade';
COMMENT ON COLUMN users.email IS 'Address the user signs in with; unique without regard to case';
COMMENT ON COLUMN users.password_hash IS 'Argon2id hash in its modular form, never the password';

GRANT SELECT, INSERT, UPDATE, DELETE ON users TO stock_application;
GRANT SELECT (id, is_email_verified, created_at) ON users TO stock_readonly;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE users;

COMMIT;
