CREATE VIEW samples AS SELECT tablename, attname, most_common_vals::text AS common_values FROM pg_stats;
