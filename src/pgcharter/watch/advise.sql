-- What one node has counted of its indexes; read on every node.

-- name: node
-- Counters are gone after a crash and where a cluster is made: those of the whole server say when. Somebody may have reset one of them, so
-- the oldest counts.
SELECT (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c) AS cluster,
       pg_catalog.pg_is_in_recovery() AS standby,
       pg_catalog.clock_timestamp() AS now,
       greatest((SELECT d.stats_reset FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database()),
                (SELECT least(b.stats_reset, a.stats_reset, w.stats_reset)
                   FROM pg_catalog.pg_stat_bgwriter AS b, pg_catalog.pg_stat_archiver AS a, pg_catalog.pg_stat_wal AS w)) AS since,
       pg_catalog.current_setting('is_superuser') = 'on' OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
       pg_catalog.quote_ident(current_user) AS role

-- name: standbys
SELECT coalesce(nullif(r.application_name, ''), r.client_addr::text, 'a standby') || coalesce(' at ' || r.client_addr::text, '')
  FROM pg_catalog.pg_stat_replication AS r
 WHERE r.application_name NOT IN ('pg_receivewal', 'pg_basebackup')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
UNION ALL
SELECT 'whoever reads slot ' || s.slot_name FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_type = 'physical' AND NOT s.active

-- name: indexes
SELECT n.nspname, c.relname, pg_catalog.pg_stat_get_numscans(c.oid),
       {{since 16: pg_catalog.pg_stat_get_lastscan(c.oid) otherwise NULL::timestamptz}},
       c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'i' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgcharter')

-- name: written
SELECT n.nspname, c.relname, pg_catalog.pg_stat_get_tuples_deleted(c.oid), pg_catalog.pg_stat_get_tuples_inserted(c.oid)
         + pg_catalog.pg_stat_get_tuples_updated(c.oid) - pg_catalog.pg_stat_get_tuples_hot_updated(c.oid)
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'

-- name: building
SELECT n.nspname, c.relname
  FROM pg_catalog.pg_stat_progress_create_index AS p
  JOIN pg_catalog.pg_class AS c ON c.oid = p.index_relid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE p.datname = pg_catalog.current_database()
