-- Age of what is not frozen, and what autovacuum has not got round to.

-- name: wraparound
SELECT pg_catalog.quote_ident(datname) AS of, pg_catalog.age(datfrozenxid) AS xid_age, pg_catalog.mxid_age(datminmxid) AS mxid_age,
       100.0 * pg_catalog.age(datfrozenxid) / pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint AS xid_percent,
       100.0 * pg_catalog.mxid_age(datminmxid) / pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::bigint AS mxid_percent,
       2147483647 - 3000000 - pg_catalog.age(datfrozenxid)::bigint AS xids_left,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint END AS next_xid
  FROM pg_catalog.pg_database
 ORDER BY pg_catalog.age(datfrozenxid) DESC

-- name: vacuum_workers
SELECT busy, 100.0 * busy / greatest(pg_catalog.current_setting('autovacuum_max_workers')::int, 1) AS workers_percent
  FROM (SELECT count(*) AS busy FROM pg_catalog.pg_stat_activity WHERE backend_type = 'autovacuum worker') w

-- Thresholds are those of the table where it has its own. Only the worst tables are told. A table was never analysed when it has no estimate
-- of its rows (-1, since 14), or when all its rows have come since; a missing date alone may have been lost in a crash.
-- name: dead_rows
WITH defaults AS MATERIALIZED (
    SELECT pg_catalog.current_setting('autovacuum_vacuum_threshold')::float8 AS vt, pg_catalog.current_setting('autovacuum_vacuum_scale_factor')::float8 AS vs,
           {{since 18: pg_catalog.current_setting('autovacuum_vacuum_max_threshold')::float8 otherwise -1}} AS vm,
           pg_catalog.current_setting('autovacuum_vacuum_insert_threshold')::float8 AS it, pg_catalog.current_setting('autovacuum_vacuum_insert_scale_factor')::float8 AS isf,
           pg_catalog.current_setting('autovacuum_analyze_threshold')::float8 AS at, pg_catalog.current_setting('autovacuum_analyze_scale_factor')::float8 AS asf),
tables AS (
    SELECT c.oid, n.nspname, c.relname, greatest(c.reltuples, 0) AS rows, c.relpages, c.reltuples,
           (SELECT pg_catalog.jsonb_object_agg(option_name, option_value) FROM pg_catalog.pg_options_to_table(c.reloptions)) AS o,
           s.n_dead_tup, s.n_live_tup, s.n_ins_since_vacuum, s.n_mod_since_analyze,
           greatest(pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
           c.reltuples < 0 OR (coalesce(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)) IS NULL
                               AND s.n_live_tup > 0 AND s.n_mod_since_analyze >= s.n_live_tup) AS unanalyzed
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
           LATERAL (SELECT pg_catalog.pg_stat_get_dead_tuples(c.oid) AS n_dead_tup, pg_catalog.pg_stat_get_live_tuples(c.oid) AS n_live_tup,
                           pg_catalog.pg_stat_get_ins_since_vacuum(c.oid) AS n_ins_since_vacuum,
                           pg_catalog.pg_stat_get_mod_since_analyze(c.oid) AS n_mod_since_analyze OFFSET 0) s
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname !~ '^pg_toast' AND (s.n_dead_tup > 0 OR s.n_ins_since_vacuum > 0 OR s.n_mod_since_analyze > 0 OR c.reltuples < 0)),
judged AS (
    SELECT t.*,
           coalesce((o ->> 'autovacuum_vacuum_threshold')::float8, vt) + coalesce((o ->> 'autovacuum_vacuum_scale_factor')::float8, vs) * rows AS dead_from,
           coalesce((o ->> 'autovacuum_vacuum_max_threshold')::float8, vm) AS dead_most,
           coalesce((o ->> 'autovacuum_vacuum_insert_threshold')::float8, it) + coalesce((o ->> 'autovacuum_vacuum_insert_scale_factor')::float8, isf) * rows AS inserted_from,
           coalesce((o ->> 'autovacuum_vacuum_insert_threshold')::float8, it) >= 0 AS inserts_count,
           coalesce((o ->> 'autovacuum_analyze_threshold')::float8, at) + coalesce((o ->> 'autovacuum_analyze_scale_factor')::float8, asf) * rows AS changed_from
      FROM tables t, defaults)
SELECT pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname) AS relation,
       n_dead_tup AS dead, n_live_tup AS live, n_ins_since_vacuum AS inserted, n_mod_since_analyze AS changed,
       n_dead_tup / greatest(CASE WHEN dead_most >= 0 THEN least(dead_from, dead_most) ELSE dead_from END, 1) AS dead_times, n_dead_tup >= 10000 AS large,
       CASE WHEN inserts_count THEN n_ins_since_vacuum / greatest(inserted_from, 1) END AS inserted_times, n_ins_since_vacuum >= 100000 AS inserts_large,
       n_mod_since_analyze / greatest(changed_from, 1) AS changed_times, n_mod_since_analyze >= 10000 AS changes_large,
       CASE WHEN unanalyzed THEN greatest(n_live_tup, rows::bigint) END AS never_analyzed_rows,
       coalesce('vacuumed last ' || pg_catalog.to_char(vacuumed, 'YYYY-MM-DD HH24:MI'), 'never vacuumed') AS last
  FROM judged
 ORDER BY greatest(n_dead_tup / greatest(dead_from, 1), n_mod_since_analyze / greatest(changed_from, 1), n_ins_since_vacuum / greatest(inserted_from, 1) / 10) DESC
 LIMIT 50

-- name: vacuum_off
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation, 1 AS switched_off
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
   AND EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean)
 ORDER BY c.relpages DESC LIMIT 50
