CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text, city text, deleted_at timestamptz);
CREATE UNIQUE INDEX ON users (email) WHERE deleted_at IS NULL;
CREATE INDEX ON users (name) WHERE name IS NOT NULL;
CREATE INDEX ON users (city) WHERE email IS NOT NULL AND city IS NOT NULL;
