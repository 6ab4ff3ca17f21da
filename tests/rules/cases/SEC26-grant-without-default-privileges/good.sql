CREATE ROLE case_app;
CREATE ROLE case_other;
CREATE SCHEMA app;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO case_app;
CREATE TABLE app.a (id bigint PRIMARY KEY);
CREATE TABLE app.b (id bigint PRIMARY KEY);
CREATE TABLE app.c (id bigint PRIMARY KEY);
GRANT SELECT ON app.a, app.b TO case_other;

-- three tables, each granted by name
CREATE SCHEMA small;
CREATE TABLE small.a (id bigint PRIMARY KEY);
CREATE TABLE small.b (id bigint PRIMARY KEY);
CREATE TABLE small.c (id bigint PRIMARY KEY);
GRANT SELECT ON small.a, small.b, small.c TO case_other;
