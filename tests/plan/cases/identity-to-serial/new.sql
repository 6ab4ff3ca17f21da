CREATE SCHEMA app;
CREATE TABLE app.t (id serial PRIMARY KEY, n int NOT NULL, a text);
CREATE SEQUENCE app.own OWNED BY app.t.n;
ALTER TABLE app.t ALTER COLUMN n SET DEFAULT nextval('app.own');
CREATE TABLE app.u (t int NOT NULL REFERENCES app.t);
CREATE VIEW app.v AS SELECT id, n FROM app.t;
