-- file: 001_a.sql
SET search_path = app, public;
SET session_replication_role = replica;
SET work_mem = '1GB';
CREATE TABLE t (id bigint PRIMARY KEY);
-- file: 002_b.sql
CREATE TABLE u (id bigint PRIMARY KEY);
