-- Migration: Insert roles
-- Description: The roles that the application knows; data, so it has a file of its own

-- Up Migration
BEGIN;

INSERT INTO roles (name, description) VALUES
    ('user', 'Reads, comments and donates'),
    ('author', 'Writes and publishes posts of its own'),
    ('moderator', 'Hides comments and suspends accounts');

COMMIT;

-- Down Migration
BEGIN;

DELETE FROM roles WHERE name IN ('user', 'author', 'moderator');

COMMIT;
