-- What follows this server. A base backup sends log too, and is no standby; a logical one confirms, and does not replay.

-- name: standbys
SELECT pg_catalog.quote_ident(coalesce(nullif(r.application_name, ''), r.client_addr::text, 'local')) AS standby, r.pid::text AS pid, r.state,
       coalesce(extract(epoch FROM r.replay_lag), 0)::float8 AS replay_lag_seconds,
       greatest(pg_catalog.pg_wal_lsn_diff(here, coalesce(r.replay_lsn, r.sent_lsn)), 0)::bigint AS replay_lag_bytes,
       CASE r.state WHEN 'streaming' THEN 0 WHEN 'stopping' THEN 2 ELSE 1 END AS not_streaming
  FROM pg_catalog.pg_stat_replication r,
       (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END AS here) h
 WHERE r.state <> 'backup'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')

-- name: senders
SELECT senders, allowed, 100.0 * senders / nullif(allowed, 0) AS senders_percent, streaming, names,
       (names <> '' AND synchronous = 0 AND commits IN ('on', 'remote_write', 'remote_apply'))::int AS sync_missing
  FROM (SELECT count(*) AS senders, count(*) FILTER (WHERE state = 'streaming') AS streaming, count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous
          FROM pg_catalog.pg_stat_replication) r,
       (SELECT pg_catalog.current_setting('max_wal_senders')::int AS allowed, pg_catalog.current_setting('synchronous_standby_names') AS names,
               (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit') AS commits) s
