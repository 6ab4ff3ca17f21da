-- Migration: Add users.status
-- Description: Accounts can be inactive or banned

-- Up Migration
BEGIN;
SET LOCAL lock_timeout = '2s';

-- A constant default neither rewrites nor scans the table. The check is added unproven and proven in another
-- transaction, so that on a table with many rows nobody waits for the scan; every row has the default, so it cannot fail.
ALTER TABLE users ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE users ADD CONSTRAINT ck_users_status CHECK (status IN ('active', 'inactive', 'banned')) NOT VALID;

COMMENT ON COLUMN users.status IS 'Whether the user may trade: only active ones do';

GRANT SELECT (status) ON users TO stock_readonly;

COMMIT;

BEGIN;

ALTER TABLE users VALIDATE CONSTRAINT ck_users_status;

COMMIT;

-- Down Migration
BEGIN;

ALTER TABLE users DROP COLUMN status;

COMMIT;
