CREATE SCHEMA app;
CREATE TYPE app.e AS ENUM ('a', 'b');
CREATE TABLE app.t (id int PRIMARY KEY, e app.e);
CREATE VIEW app.v AS SELECT id, e FROM app.t WHERE e = 'a';
