-- file: 20260101000000_dbmate.sql
-- migrate:up
CREATE INDEX CONCURRENTLY a ON orders (status);
-- migrate:down
DROP INDEX CONCURRENTLY a;
-- file: 20260102000000_goose.sql
-- +goose Up
CREATE INDEX CONCURRENTLY b ON orders (status);
-- +goose Down
DROP INDEX CONCURRENTLY b;
-- file: changelog.sql
--liquibase formatted sql
--changeset ann:1 runInTransaction:false
CREATE INDEX CONCURRENTLY c ON orders (status);
--changeset ann:2
CREATE INDEX CONCURRENTLY d ON orders (code);
-- file: V3__mixed.sql
ALTER TABLE orders ADD COLUMN x integer;
CREATE INDEX CONCURRENTLY e ON orders (x);
-- file: 000004_index.up.sql
CREATE INDEX CONCURRENTLY f ON orders (status);
CREATE INDEX CONCURRENTLY g ON orders (code);
