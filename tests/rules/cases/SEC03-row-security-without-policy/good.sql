CREATE TABLE measurements (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE measurements_2026 PARTITION OF measurements FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE measurements ENABLE ROW LEVEL SECURITY;
ALTER TABLE measurements_2026 ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON measurements USING (id < 100);
-- closed to all, and nobody was given rights
CREATE TABLE closed (id bigint PRIMARY KEY);
ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
