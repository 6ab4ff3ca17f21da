CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX idx_users_email_prefix ON users (email text_pattern_ops);
CREATE INDEX idx_users_email_name ON users (email) INCLUDE (name);
CREATE INDEX idx_users_email_living ON users (email) WHERE deleted_at IS NULL;
CREATE INDEX idx_users_email_lower ON users (lower(email));

-- unique only for some rows
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX uq_sessions_open ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
