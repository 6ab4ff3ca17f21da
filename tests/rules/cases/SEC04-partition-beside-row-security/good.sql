CREATE ROLE case_app;
CREATE TABLE measurements (id bigint, owner text, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE measurements_2025 PARTITION OF measurements FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE measurements_2026 PARTITION OF measurements FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE measurements ENABLE ROW LEVEL SECURITY;
ALTER TABLE measurements_2026 ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON measurements USING (owner = current_user);
GRANT SELECT ON measurements, measurements_2026 TO case_app;
