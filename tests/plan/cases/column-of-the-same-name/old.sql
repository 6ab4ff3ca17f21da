CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, a jsonb NOT NULL DEFAULT '{}', b text, c date);
INSERT INTO app.t (id, a, b) SELECT g, to_jsonb(g), 'x' FROM generate_series(1, 20) g;
CREATE INDEX t_a ON app.t USING gin (a);
ALTER TABLE app.t ADD CONSTRAINT a_is CHECK (jsonb_typeof(a) <> 'array');
CREATE VIEW app.v AS SELECT id, a FROM app.t;
COMMENT ON COLUMN app.t.a IS 'before';
