-- What becomes of the log.

-- name: archive
SELECT (mode <> 'off' AND s.last_failed_time IS NOT NULL AND s.last_failed_time > coalesce(s.last_archived_time, '-infinity'))::int AS failing,
       s.last_failed_wal, pg_catalog.to_char(s.last_failed_time, 'YYYY-MM-DD HH24:MI:SS') AS last_failed, s.failed_count AS failed,
       pg_catalog.to_char(s.stats_reset, 'YYYY-MM-DD') AS since, mode,
       (mode <> 'off' AND command IN ('', '(disabled)') AND library = '')::int AS empty, (mode = 'off')::int AS off,
       CASE WHEN mode <> 'off' THEN (timeout IN ('0', '0s'))::int END AS without_timeout
  FROM pg_catalog.pg_stat_archiver s,
       (SELECT pg_catalog.current_setting('archive_mode') AS mode, pg_catalog.current_setting('archive_command') AS command,
               coalesce(pg_catalog.current_setting('archive_library', true), '') AS library, pg_catalog.current_setting('archive_timeout') AS timeout) c

-- name: archive_queue
SELECT count(*) AS waiting_files, coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - min(modification)), 0)::float8 AS waiting_seconds
  FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
