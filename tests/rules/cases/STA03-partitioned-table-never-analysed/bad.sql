CREATE TABLE readings (id bigint, taken_at timestamptz NOT NULL, PRIMARY KEY (id, taken_at)) PARTITION BY RANGE (taken_at);
CREATE TABLE readings_2023 PARTITION OF readings FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE readings_2024 PARTITION OF readings FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY RANGE (taken_at);
CREATE TABLE readings_2024_h1 PARTITION OF readings_2024 FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
INSERT INTO readings SELECT n, timestamptz '2023-12-31 12:00' + make_interval(secs => n) FROM generate_series(1, 120000) AS n;
ANALYZE readings_2023, readings_2024_h1;
