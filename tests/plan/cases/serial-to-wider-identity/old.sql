CREATE SCHEMA app;
CREATE TABLE app.t (id serial PRIMARY KEY, a text);
CREATE TABLE app.u (id serial PRIMARY KEY, t int NOT NULL REFERENCES app.t);
INSERT INTO app.t (a) SELECT 'x' FROM generate_series(1, 20);
INSERT INTO app.u (t) SELECT g FROM generate_series(1, 20) g;
