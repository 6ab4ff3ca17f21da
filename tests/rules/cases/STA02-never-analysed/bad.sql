CREATE TABLE "Loaded" (id bigint PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO "Loaded" SELECT n, 'kind ' || n % 7 FROM generate_series(1, 20000) AS n;
SELECT pg_stat_force_next_flush();
