-- Snapshots of pg_stat_statements. {view} is its schema; versions are those of the extension (1.10 is PostgreSQL 15's and 16's), not of the
-- server, because an extension stays as it is until ALTER EXTENSION … UPDATE.

-- name: look
SELECT (SELECT n.nspname::text FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
         WHERE e.extname = 'pg_stat_statements') AS schema,
       (SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname = 'pg_stat_statements') AS version,
       pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,
       CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
            THEN pg_catalog.current_setting('shared_preload_libraries') ELSE '...' END AS preloaded,
       pg_catalog.current_setting('is_superuser') = 'on' OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
       pg_catalog.current_setting('pg_stat_statements.track', true) AS track,
       pg_catalog.current_setting('compute_query_id', true) AS query_id,
       pg_catalog.quote_ident(current_user) AS role,
       pg_catalog.quote_ident(pg_catalog.current_database()) AS database,
       EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'pgcharter' AND c.relname = 'statement_snapshots' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) AS kept

-- name: info
SELECT dealloc, stats_reset, pg_catalog.clock_timestamp() FROM {view}.pg_stat_statements_info

-- name: counted
SELECT s.userid, s.dbid, s.queryid, s.toplevel, coalesce(r.rolname, s.userid::text)::text AS role,
       {{since 17: s.stats_since otherwise NULL::timestamptz}} AS since,
       s.calls, s.total_exec_time, s.total_plan_time, s.rows, s.shared_blks_hit + s.local_blks_hit, s.shared_blks_read + s.local_blks_read,
       s.shared_blks_dirtied + s.local_blks_dirtied, s.shared_blks_written + s.local_blks_written, s.temp_blks_read + s.temp_blks_written,
       {{since 17: s.shared_blk_read_time + s.shared_blk_write_time + s.local_blk_read_time + s.local_blk_write_time
         otherwise s.blk_read_time + s.blk_write_time}} + s.temp_blk_read_time + s.temp_blk_write_time,
       s.wal_bytes::bigint
  FROM {view}.pg_stat_statements(false) AS s
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.userid
 WHERE s.queryid IS NOT NULL AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())

-- name: texts
SELECT DISTINCT ON (s.queryid) s.queryid, pg_catalog.left(s.query, 20000)
  FROM {view}.pg_stat_statements(true) AS s
 WHERE s.queryid = ANY (%(ids)s) AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())

-- name: alone
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('pgcharter.statement_snapshots'))

-- name: last
SELECT taken_at, evictions_in_all FROM pgcharter.statement_intervals ORDER BY taken_at DESC LIMIT 1

-- name: bases
SELECT role_id, database_id, query_id, top_level, counters, statement IS NOT NULL FROM pgcharter.statement_texts

-- name: interval
INSERT INTO pgcharter.statement_intervals
       (taken_at, began_at, counted_since, was_reset, evictions, evictions_in_all, statements, calls, execution_ms)
VALUES (%(taken_at)s, %(began_at)s, %(counted_since)s, %(was_reset)s, %(evictions)s, %(evictions_in_all)s, %(statements)s, %(calls)s, %(execution_ms)s)

-- name: costs
INSERT INTO pgcharter.statement_snapshots
SELECT %(taken_at)s, r.* FROM jsonb_to_recordset(%(all)s::jsonb)
       AS r(role_id oid, database_id oid, query_id bigint, top_level boolean, calls bigint, execution_ms float8, planning_ms float8,
            row_count bigint, blocks_hit bigint, blocks_read bigint, blocks_dirtied bigint, blocks_written bigint, temp_blocks bigint,
            io_ms float8, wal_bytes bigint)

-- name: seen
INSERT INTO pgcharter.statement_texts (role_id, database_id, query_id, top_level, role_name, statement, counters, seen_at)
SELECT r.role_id, r.database_id, r.query_id, r.top_level, r.role_name, r.statement, r.counters, %(taken_at)s
  FROM jsonb_to_recordset(%(all)s::jsonb)
       AS r(role_id oid, database_id oid, query_id bigint, top_level boolean, role_name text, statement text, counters jsonb)
    ON CONFLICT (role_id, database_id, query_id, top_level) DO UPDATE
   SET counters = EXCLUDED.counters, seen_at = EXCLUDED.seen_at, role_name = EXCLUDED.role_name,
       statement = coalesce(statement_texts.statement, EXCLUDED.statement)

-- name: forget_costs
DELETE FROM pgcharter.statement_snapshots WHERE taken_at < %(now)s - %(keep)s::interval

-- name: forget_intervals
DELETE FROM pgcharter.statement_intervals WHERE taken_at < %(now)s - %(keep)s::interval

-- name: forget_texts
-- What is still counted stays, however long ago it ran: without its counters all of them would be taken for new.
DELETE FROM pgcharter.statement_texts AS t
 WHERE t.seen_at < %(now)s - %(keep)s::interval
   AND NOT EXISTS (SELECT FROM {view}.pg_stat_statements(false) AS s
                    WHERE s.userid = t.role_id AND s.dbid = t.database_id AND s.queryid = t.query_id AND s.toplevel = t.top_level)

-- name: intervals
SELECT taken_at, began_at, was_reset, evictions, statements, calls, execution_ms
  FROM pgcharter.statement_intervals
 WHERE began_at IS NOT NULL AND taken_at > %(start)s AND taken_at <= %(end)s
 ORDER BY taken_at

-- name: used
SELECT s.taken_at, s.role_id, s.database_id, s.query_id, s.top_level, coalesce(t.role_name, s.role_id::text), coalesce(t.statement, ''),
       s.calls, s.execution_ms, s.planning_ms, s.row_count, s.blocks_hit, s.blocks_read, s.blocks_dirtied, s.blocks_written, s.temp_blocks,
       s.io_ms, s.wal_bytes
  FROM pgcharter.statement_snapshots AS s
  JOIN pgcharter.statement_intervals AS i ON i.taken_at = s.taken_at AND i.began_at IS NOT NULL
  LEFT JOIN pgcharter.statement_texts AS t USING (role_id, database_id, query_id, top_level)
 WHERE s.taken_at > %(start)s AND s.taken_at <= %(end)s
   AND s.database_id = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())

-- name: scans
SELECT n.nspname, c.relname, greatest(c.reltuples, 0)::bigint, pg_catalog.pg_relation_size(c.oid), s.seq_scan, s.seq_tup_read,
       coalesce(s.idx_scan, 0), (SELECT d.stats_reset FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database())
  FROM pg_catalog.pg_stat_user_tables AS s
  JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.reltuples >= %(rows)s AND s.seq_scan >= %(scans)s AND s.seq_tup_read >= c.reltuples * s.seq_scan / 2 AND n.nspname <> 'pgcharter'
 ORDER BY s.seq_tup_read DESC
 LIMIT 20
