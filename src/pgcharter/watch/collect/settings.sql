-- What settings are for everybody: what this session has set for itself does not count, so it is reset_val that is read.

-- name: settings
SELECT max(1 - on_) FILTER (WHERE name = 'fsync') AS fsync_off,
       max(1 - on_) FILTER (WHERE name = 'full_page_writes') AS full_page_writes_off,
       max(1 - on_) FILTER (WHERE name = 'autovacuum') AS autovacuum_off,
       max(1 - on_) FILTER (WHERE name = 'track_counts') AS track_counts_off,
       max(1 - on_) FILTER (WHERE name = 'track_io_timing') AS track_io_timing_off,
       max(1 - on_) FILTER (WHERE name = 'log_lock_waits') AS log_lock_waits_off,
       max(1 - on_) FILTER (WHERE name = 'log_checkpoints') AS log_checkpoints_off,
       max((value = 'off')::int) FILTER (WHERE name = 'synchronous_commit') AS synchronous_commit_off,
       max((value = '0')::int) FILTER (WHERE name = 'idle_in_transaction_session_timeout') AS idle_timeout_off,
       max((value = '-1')::int) FILTER (WHERE name = 'log_autovacuum_min_duration') AS log_autovacuum_off,
       max((value = '-1')::int) FILTER (WHERE name = 'log_temp_files') AS log_temp_files_off,
       max((value !~ '\mpg_stat_statements\M')::int) FILTER (WHERE name = 'shared_preload_libraries') AS statements_missing,
       pg_catalog.quote_literal(max(pg_catalog.concat_ws(', ', nullif(value, ''), 'pg_stat_statements')) FILTER (WHERE name = 'shared_preload_libraries')) AS preload,
       max(value) FILTER (WHERE name = 'max_connections')::int AS max_connections,
       count(*) FILTER (WHERE risky AND on_ = 1) AS dangerous,
       pg_catalog.string_agg(name, ', ' ORDER BY name) FILTER (WHERE risky AND on_ = 1) AS dangerous_names
  FROM (SELECT name, reset_val AS value, (reset_val = 'on')::int AS on_,
               name IN ('zero_damaged_pages', 'ignore_checksum_failure', 'ignore_system_indexes', 'ignore_invalid_pages',
                        'allow_system_table_mods', 'jit_debugging_support', 'debug_discard_caches') AS risky
          FROM pg_catalog.pg_settings) s

-- name: pending_restart
SELECT name, setting, 1 AS pending FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name

-- name: file_errors
SELECT coalesce(pg_catalog.regexp_replace(sourcefile, '^.*/', ''), '?') AS file, sourceline AS line, coalesce(name, 'the line') AS name, error, 1 AS wrong
  FROM pg_catalog.pg_file_settings
 WHERE error IS NOT NULL AND error <> 'setting could not be applied'
 ORDER BY 1, 2

-- name: hba_errors
SELECT line_number AS line, error, 1 AS unreadable FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL ORDER BY 1
