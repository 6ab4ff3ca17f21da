CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX idx_users_email ON users (email) WHERE deleted_at IS NULL;
-- for cleaning up
CREATE INDEX idx_users_deleted_at ON users (deleted_at) WHERE deleted_at IS NOT NULL;
