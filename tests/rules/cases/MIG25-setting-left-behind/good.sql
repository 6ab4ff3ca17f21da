-- file: 001_a.sql
SET search_path = app, public;
SET session_replication_role = replica;
SET work_mem = '1GB';
BEGIN;
SET LOCAL statement_timeout = '5s';
CREATE TABLE t (id bigint PRIMARY KEY);
COMMIT;
RESET work_mem;
SET session_replication_role = DEFAULT;
-- file: 002_b.sql
SET search_path = app;
CREATE TABLE u (id bigint PRIMARY KEY);
SET ROLE owner;
SET ROLE NONE;
-- file: 003_c.sql
-- pgcharter: up
SET search_path = app;
SET work_mem = '1GB';
-- file: 004_d.sql
SET search_path = other;
SET work_mem = '2GB';
