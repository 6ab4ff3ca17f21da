-- The server itself.

-- Ends: https://www.postgresql.org/support/versioning/. Minor releases: the newest known when
-- this was written, November 2026; some numbers were never released, so how many are missing is not told.
-- name: server
SELECT extract(epoch FROM now_ - pg_catalog.pg_postmaster_start_time())::float8 AS uptime_seconds,
       pg_catalog.pg_is_in_recovery()::int AS standby,
       (pg_catalog.current_setting('data_checksums') = 'off')::int AS checksums_off,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() c)
            ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
       v.number / 10000 AS major, v.number / 10000 || '.' || v.number %% 10000 AS version, k.ends::text AS ends,
       extract(epoch FROM k.ends::timestamptz - now_)::float8 AS end_seconds,
       v.number / 10000 || '.' || greatest(k.minor, v.number %% 10000) AS newest,
       (k.minor > v.number %% 10000)::int AS behind
  FROM (SELECT coalesce(%(now)s::timestamptz, pg_catalog.clock_timestamp()) AS now_) n,
       (SELECT pg_catalog.current_setting('server_version_num')::int AS number) v
  LEFT JOIN (VALUES (14, date '2026-11-12', 23), (15, date '2027-11-11', 20), (16, date '2028-11-09', 15), (17, date '2029-11-08', 11),
                    (18, date '2030-11-14', 6)) k (major, ends, minor) ON k.major = v.number / 10000

-- name: checksum_failures
SELECT coalesce(pg_catalog.quote_ident(datname), 'objects of all databases') AS of, checksum_failures AS failures,
       extract(epoch FROM pg_catalog.clock_timestamp() - checksum_last_failure)::float8 AS since_seconds
  FROM pg_catalog.pg_stat_database
 WHERE checksum_failures > 0
