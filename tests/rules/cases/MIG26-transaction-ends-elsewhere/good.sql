-- file: 001_closed.sql
BEGIN;
ALTER TABLE orders ADD COLUMN a text;
SAVEPOINT s;
ROLLBACK TO SAVEPOINT s;
COMMIT;
-- file: 20260101000000_wrapped.sql
-- migrate:up transaction:false
BEGIN;
ALTER TABLE orders ADD COLUMN b text;
END;
-- file: 20260102000000_wrapped.sql
-- +goose Up
DO $$ BEGIN PERFORM 1; END $$;
