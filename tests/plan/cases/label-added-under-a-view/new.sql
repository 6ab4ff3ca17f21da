CREATE SCHEMA app;
CREATE TYPE app.e AS ENUM ('zero', 'a', 'b', 'c');
CREATE TABLE app.t (id int PRIMARY KEY, e app.e DEFAULT 'c');
CREATE VIEW app.v AS SELECT e, id FROM app.t WHERE e = 'c' OR e = 'zero';
