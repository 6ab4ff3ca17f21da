CREATE TABLE users (id bigint PRIMARY KEY, is_deleted boolean NOT NULL DEFAULT false, deleted_at timestamptz);
