CREATE TABLE pgorders (id bigint PRIMARY KEY, pg_version integer);
