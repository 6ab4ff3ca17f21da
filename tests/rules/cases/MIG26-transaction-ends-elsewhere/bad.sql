-- file: 001_open.sql
BEGIN;
ALTER TABLE orders ADD COLUMN a text;
-- file: 20260101000000_wrapped.sql
-- migrate:up
BEGIN;
ALTER TABLE orders ADD COLUMN b text;
COMMIT;
ALTER TABLE orders ADD COLUMN c text;
-- migrate:down
-- file: 20260102000000_committed.sql
-- +goose Up
ALTER TABLE orders ADD COLUMN d text;
COMMIT;
