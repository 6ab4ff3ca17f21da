CREATE DOMAIN flag AS boolean NOT NULL DEFAULT false;
CREATE TABLE settings (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one));
CREATE TABLE users (
    id bigint PRIMARY KEY,
    is_active boolean NOT NULL DEFAULT true,
    is_new flag,
    answers boolean[],
    deleted_at timestamptz,
    is_deleted boolean GENERATED ALWAYS AS (deleted_at IS NOT NULL) STORED
);
CREATE TABLE users_import (is_active boolean);
