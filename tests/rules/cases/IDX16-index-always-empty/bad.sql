CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, deleted_at timestamptz, removed_at timestamptz NOT NULL DEFAULT 'infinity');
CREATE UNIQUE INDEX users_email ON users (email) WHERE deleted_at = NULL;
CREATE UNIQUE INDEX users_living ON users (email) WHERE id > 0 AND removed_at IS NULL;
CREATE INDEX users_none ON users (email) WHERE false;
