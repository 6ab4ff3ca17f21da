CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, a bigint, b bigint GENERATED ALWAYS AS (a * 2) STORED CHECK (b < 1000), c text NOT NULL DEFAULT 'x');
CREATE INDEX t_b ON app.t (b);
CREATE UNIQUE INDEX t_ab ON app.t (a, b);
CREATE VIEW app.v AS SELECT id, a, b FROM app.t;
GRANT SELECT (b) ON app.t TO PUBLIC;
COMMENT ON COLUMN app.t.b IS 'twice';
