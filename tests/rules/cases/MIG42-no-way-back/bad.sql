-- file: 001_a.sql
-- migrate:up
CREATE TABLE t (id bigint PRIMARY KEY);
-- migrate:down
DROP TABLE t;
-- file: 002_b.sql
-- migrate:up
CREATE TABLE u (id bigint PRIMARY KEY);
