CREATE TABLE clicks (at timestamptz NOT NULL, page text NOT NULL);
CREATE PUBLICATION added FOR TABLE clicks WITH (publish = 'insert');
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE visits (id bigint NOT NULL, at timestamptz NOT NULL);
CREATE UNIQUE INDEX visits_id ON visits (id);
ALTER TABLE visits REPLICA IDENTITY USING INDEX visits_id;
CREATE TABLE lines (words text);
ALTER TABLE lines REPLICA IDENTITY FULL;
CREATE TABLE parts (id bigint, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE PUBLICATION outside FOR TABLE users, visits, lines, parts;
CREATE TABLE private (words text);
-- only ever added to, and said so
CREATE TABLE samples (at timestamptz NOT NULL, value real);
ALTER TABLE samples REPLICA IDENTITY NOTHING;
ALTER PUBLICATION outside ADD TABLE samples;
CREATE UNLOGGED TABLE imports (line text);
