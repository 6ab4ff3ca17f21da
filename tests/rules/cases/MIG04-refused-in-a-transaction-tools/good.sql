-- file: 20260101000000_dbmate.sql
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY a ON orders (status);
-- migrate:down transaction:false
DROP INDEX CONCURRENTLY a;
-- file: 20260102000000_goose.sql
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY b ON orders (status);
-- +goose Down
DROP INDEX CONCURRENTLY b;
-- file: changelog.sql
--liquibase formatted sql
--changeset ann:1
ALTER TABLE orders ADD COLUMN y integer;
--changeset ann:2 runInTransaction:false
CREATE INDEX CONCURRENTLY c ON orders (status);
-- file: V3__index.sql
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY e ON orders (x);
-- file: 000004_index.up.sql
CREATE INDEX CONCURRENTLY f ON orders (status);
-- file: 005_ours.sql
-- pgcharter: up
ALTER TABLE orders ADD COLUMN z integer;
CREATE INDEX CONCURRENTLY g ON orders (z);
-- file: 006_psql.sql
ALTER TABLE orders ADD COLUMN w integer;
CREATE INDEX CONCURRENTLY h ON orders (w);
