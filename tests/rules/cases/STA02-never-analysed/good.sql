CREATE TABLE loaded (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO loaded SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
ANALYZE loaded;
CREATE TABLE small (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO small SELECT n, 'kind ' || n % 7 FROM generate_series(1, 200) AS n;
CREATE TABLE nothing_yet (id bigint PRIMARY KEY, kind text);
-- rows only pass through
CREATE TABLE order_staging (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO order_staging SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
SELECT pg_stat_force_next_flush();
