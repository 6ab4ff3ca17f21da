-- Files of the server, and what is written to them.

-- name: wal
SELECT wal_bytes, 100.0 * wal_bytes / most AS wal_percent
  FROM (SELECT coalesce(sum(size), 0)::bigint AS wal_bytes FROM pg_catalog.pg_ls_waldir()) w,
       (SELECT pg_catalog.pg_size_bytes(setting || unit) AS most FROM pg_catalog.pg_settings WHERE name = 'max_wal_size') s

-- name: database_io
SELECT pg_catalog.quote_ident(datname) AS of, temp_bytes AS temporary_bytes, blks_read AS blocks_read, blks_read + blks_hit AS blocks
  FROM pg_catalog.pg_stat_database WHERE datname IS NOT NULL AND datname NOT IN ('template0', 'template1')

-- name: temporary_files
SELECT coalesce(sum(f.size), 0)::bigint AS temporary_now_bytes, count(f.size) AS files, (pg_catalog.array_agg(f.name ORDER BY f.size DESC))[1] AS largest
  FROM pg_catalog.pg_tablespace t, pg_catalog.pg_ls_tmpdir(t.oid) f
 WHERE t.spcname <> 'pg_global'

-- name: checkpoints
SELECT {{since 17: num_requested otherwise checkpoints_req}} AS requested,
       {{since 17: num_requested + num_timed otherwise checkpoints_req + checkpoints_timed}} AS checkpoints
  FROM {{since 17: pg_catalog.pg_stat_checkpointer otherwise pg_catalog.pg_stat_bgwriter}}

-- name: checkpoint_distance
SELECT replay_bytes, 100.0 * replay_bytes / most AS replay_percent
  FROM (SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), c.redo_lsn)::bigint AS replay_bytes FROM pg_catalog.pg_control_checkpoint() c) d,
       (SELECT pg_catalog.pg_size_bytes(setting || unit) AS most FROM pg_catalog.pg_settings WHERE name = 'max_wal_size') s
