-- file: 001_a.up.sql
CREATE TABLE t (id bigint PRIMARY KEY);
-- file: 001_a.down.sql
DROP TABLE t;
-- file: 002_b.up.sql
-- pgcharter: one-way because the rows are merged
CREATE TABLE u (id bigint PRIMARY KEY);
-- file: V3__c.sql
CREATE TABLE v (id bigint PRIMARY KEY);
-- file: U3__c.sql
DROP TABLE v;
