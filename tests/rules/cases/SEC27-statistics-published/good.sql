CREATE VIEW shapes AS SELECT tablename, attname, n_distinct, null_frac, correlation FROM pg_stats;
CREATE TABLE readings (most_common_vals text);
CREATE VIEW own AS SELECT most_common_vals FROM readings;
