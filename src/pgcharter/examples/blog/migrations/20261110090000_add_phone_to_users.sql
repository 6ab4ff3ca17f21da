-- Migration: Add phone to users
-- Description: Telephone numbers, encrypted by the application

-- Up Migration
BEGIN;
SET LOCAL lock_timeout = '2s';

-- A column that may be NULL is added without rewriting or scanning the table.
ALTER TABLE users ADD COLUMN phone_ciphertext BYTEA;

COMMENT ON COLUMN users.phone_ciphertext IS
    'Telephone number (E.164), encrypted by the application with AES-GCM; begins with the id of the key, which is not in this database';

COMMIT;

-- Down Migration
BEGIN;

ALTER TABLE users DROP COLUMN phone_ciphertext;

COMMIT;
