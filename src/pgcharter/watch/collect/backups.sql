-- Base backups that are being taken.

-- name: copying
SELECT p.pid::text AS pid, p.phase, extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::float8 AS copying_seconds
  FROM pg_catalog.pg_stat_progress_basebackup p JOIN pg_catalog.pg_stat_activity a USING (pid)
