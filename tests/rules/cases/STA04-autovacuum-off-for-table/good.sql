CREATE TABLE sessions_seen (id bigint PRIMARY KEY, kind text) WITH (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 90);
INSERT INTO sessions_seen SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
-- written once and small
CREATE TABLE countries (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO countries SELECT n, 'kind ' || n % 7 FROM generate_series(1, 200) AS n;
-- emptied as a whole
CREATE TABLE order_staging (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO order_staging SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
CREATE TABLE explicit (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = on);
INSERT INTO explicit SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
SELECT pg_stat_force_next_flush();
-- vacuumed and analysed by a job
CREATE TABLE queue_items (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO queue_items SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
VACUUM ANALYZE queue_items;
SELECT pg_stat_force_next_flush();
