-- What a standby knows of itself.

-- name: standby
SELECT CASE WHEN received IS NULL OR received <= replayed THEN 0
            ELSE coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()), 0) END::float8 AS lag_seconds,
       greatest(coalesce(pg_catalog.pg_wal_lsn_diff(received, replayed), 0), 0)::bigint AS lag_bytes,
       pg_catalog.pg_is_wal_replay_paused()::int AS paused,
       CASE WHEN conninfo <> '' THEN (NOT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE status = 'streaming'))::int END AS unconnected,
       coalesce(nullif(pg_catalog.array_to_string(ARRAY[pg_catalog.substring(conninfo, '\mhost=(\S+)'), pg_catalog.substring(conninfo, '\mport=(\S+)')], ':'), ''), 'primary_conninfo') AS conninfo
  FROM (SELECT pg_catalog.pg_last_wal_receive_lsn() AS received, pg_catalog.pg_last_wal_replay_lsn() AS replayed,
               coalesce(pg_catalog.current_setting('primary_conninfo', true), '') AS conninfo) s
