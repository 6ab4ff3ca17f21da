CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, is_deleted boolean NOT NULL DEFAULT false, UNIQUE (email, is_deleted));
CREATE TABLE teams (id bigint PRIMARY KEY, name text NOT NULL, deleted boolean, deleted_at timestamptz);
CREATE UNIQUE INDEX teams_name ON teams (deleted, name);
