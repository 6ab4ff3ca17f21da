-- What is done on a server, as counters.

-- name: database
SELECT pg_catalog.quote_ident(datname) AS of, numbackends AS backends, xact_commit AS committed, xact_rollback AS rolled_back, blks_read AS blocks_read,
       blks_hit AS blocks_hit, tup_returned AS returned_rows, tup_fetched AS fetched_rows, tup_inserted AS inserted_rows,
       tup_updated AS updated_rows, tup_deleted AS deleted_rows, conflicts, temp_files AS temporary_files, deadlocks,
       blk_read_time / 1000 AS read_seconds, blk_write_time / 1000 AS write_seconds, session_time / 1000 AS session_seconds,
       active_time / 1000 AS active_seconds, idle_in_transaction_time / 1000 AS idle_in_transaction_seconds
  FROM pg_catalog.pg_stat_database WHERE datname IS NOT NULL AND datname NOT IN ('template0', 'template1')

-- name: database_size
SELECT pg_catalog.quote_ident(datname) AS of, pg_catalog.pg_database_size(oid) AS size_bytes
  FROM pg_catalog.pg_database WHERE NOT datistemplate AND datconnlimit <> -2

-- name: states
SELECT coalesce(pg_catalog.quote_ident(datname), '') AS of, coalesce(state, '') AS state, backend_type AS kind, count(*) AS sessions,
       extract(epoch FROM max(pg_catalog.clock_timestamp() - coalesce(state_change, backend_start)))::float8 AS longest_seconds
  FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() GROUP BY 1, 2, 3

-- name: waits
SELECT t.wait_type, count(a.pid) AS waiting
  FROM (VALUES ('Activity'), ('BufferPin'), ('Client'), ('Extension'), ('IO'), ('IPC'), ('Lock'), ('LWLock'), ('Timeout')) t (wait_type)
  LEFT JOIN pg_catalog.pg_stat_activity a
    ON a.wait_event_type = t.wait_type AND a.backend_type = 'client backend' AND a.state <> 'idle' AND a.pid <> pg_catalog.pg_backend_pid()
 GROUP BY 1

-- name: log
SELECT wal_records AS records, wal_fpi AS full_pages, wal_bytes AS written_bytes, wal_buffers_full AS buffers_full FROM pg_catalog.pg_stat_wal

-- name: writer
SELECT {{since 17: c.num_timed otherwise b.checkpoints_timed}} AS timed, {{since 17: c.num_requested otherwise b.checkpoints_req}} AS requested,
       {{since 17: c.write_time otherwise b.checkpoint_write_time}} / 1000 AS write_seconds,
       {{since 17: c.sync_time otherwise b.checkpoint_sync_time}} / 1000 AS sync_seconds,
       {{since 17: c.buffers_written otherwise b.buffers_checkpoint}} AS checkpoint_buffers, b.buffers_clean AS background_buffers,
       b.maxwritten_clean AS stopped_cleaning, b.buffers_alloc AS allocated_buffers
  FROM pg_catalog.pg_stat_bgwriter b {{since 17: , pg_catalog.pg_stat_checkpointer c otherwise }}

-- name: io
SELECT backend_type AS backend, object, context, reads, writes, extends, hits, evictions, fsyncs
  FROM pg_catalog.pg_stat_io WHERE coalesce(reads, 0) + coalesce(writes, 0) + coalesce(extends, 0) + coalesce(hits, 0) > 0

-- name: progress
SELECT command, of, count(*) AS running, min(done_percent) AS done_percent
  FROM (SELECT 'vacuum' AS command, datname, 100.0 * heap_blks_scanned / nullif(heap_blks_total, 0) AS done_percent FROM pg_catalog.pg_stat_progress_vacuum
        UNION ALL SELECT 'analyze', datname, 100.0 * sample_blks_scanned / nullif(sample_blks_total, 0) FROM pg_catalog.pg_stat_progress_analyze
        UNION ALL SELECT 'index', datname, 100.0 * blocks_done / nullif(blocks_total, 0) FROM pg_catalog.pg_stat_progress_create_index
        UNION ALL SELECT 'cluster', datname, 100.0 * heap_blks_scanned / nullif(heap_blks_total, 0) FROM pg_catalog.pg_stat_progress_cluster
        UNION ALL SELECT 'copy', datname, 100.0 * bytes_processed / nullif(bytes_total, 0) FROM pg_catalog.pg_stat_progress_copy
        UNION ALL SELECT 'basebackup', '', 100.0 * backup_streamed / nullif(backup_total, 0) FROM pg_catalog.pg_stat_progress_basebackup) p,
       LATERAL (SELECT coalesce(pg_catalog.quote_ident(nullif(p.datname, '')), '') AS of) o
 GROUP BY 1, 2

-- name: slot_traffic
SELECT pg_catalog.quote_ident(slot_name) AS slot, total_txns AS decoded_transactions, total_bytes AS decoded_bytes, stream_txns AS streamed_transactions
  FROM pg_catalog.pg_stat_replication_slots

-- name: encrypted
SELECT count(*) FILTER (WHERE s.ssl) AS tls_sessions, count(*) FILTER (WHERE NOT s.ssl) AS plain_sessions
  FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_stat_ssl s USING (pid)
 WHERE a.client_addr IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()

-- name: prefetch
SELECT prefetch AS prefetched, hit AS found FROM pg_catalog.pg_stat_recovery_prefetch

-- Partitions count for the table they are of. What was never touched has nothing to tell. Only what is partitioned is added up: at
-- thousands of tables that is most of the time.
-- name: tables
WITH i AS (
    SELECT x.indrelid, sum(pg_catalog.pg_stat_get_numscans(x.indexrelid)::float8) AS scans, sum(pg_catalog.pg_stat_get_tuples_fetched(x.indexrelid)::float8) AS rows,
           sum((pg_catalog.pg_stat_get_blocks_fetched(x.indexrelid) - pg_catalog.pg_stat_get_blocks_hit(x.indexrelid))::float8) AS read,
           sum(pg_catalog.pg_stat_get_blocks_hit(x.indexrelid)::float8) AS hit
      FROM pg_catalog.pg_index x WHERE x.indrelid >= 16384 GROUP BY x.indrelid),
counted AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace, c.relispartition, pg_catalog.pg_stat_get_live_tuples(c.oid) AS live_rows,
           pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead_rows,
           pg_catalog.pg_stat_get_numscans(c.oid) AS sequential_scans,
           pg_catalog.pg_stat_get_tuples_returned(c.oid) AS sequential_rows,
           i.scans AS index_scans,
           i.rows + pg_catalog.pg_stat_get_tuples_fetched(c.oid) AS index_rows,
           pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS inserted_rows,
           pg_catalog.pg_stat_get_tuples_updated(c.oid) AS updated_rows,
           pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS deleted_rows,
           pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS hot_updates,
           pg_catalog.pg_stat_get_vacuum_count(c.oid) + pg_catalog.pg_stat_get_autovacuum_count(c.oid) AS vacuums,
           pg_catalog.pg_stat_get_analyze_count(c.oid) + pg_catalog.pg_stat_get_autoanalyze_count(c.oid) AS analyzes,
           pg_catalog.pg_stat_get_blocks_fetched(c.oid) - pg_catalog.pg_stat_get_blocks_hit(c.oid) AS heap_read,
           pg_catalog.pg_stat_get_blocks_hit(c.oid) AS heap_hit,
           i.read AS index_read,
           i.hit AS index_hit
      FROM pg_catalog.pg_class c LEFT JOIN i ON i.indrelid = c.oid
     WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't'),
made AS (
    SELECT relname, relnamespace, live_rows, dead_rows, sequential_scans, sequential_rows, index_scans, index_rows, inserted_rows, updated_rows, deleted_rows, hot_updates, vacuums, analyzes, heap_read, heap_hit, index_read, index_hit
      FROM counted WHERE NOT relispartition AND live_rows + sequential_scans + inserted_rows + updated_rows + deleted_rows + vacuums + analyzes + coalesce(index_scans, 0) > 0
    UNION ALL
    SELECT r.relname, r.relnamespace, p.live_rows, p.dead_rows, p.sequential_scans, p.sequential_rows, p.index_scans, p.index_rows, p.inserted_rows, p.updated_rows, p.deleted_rows, p.hot_updates, p.vacuums, p.analyzes, p.heap_read, p.heap_hit, p.index_read, p.index_hit
      FROM (SELECT pg_catalog.pg_partition_root(oid) AS root, sum(live_rows)::float8 AS live_rows, sum(dead_rows)::float8 AS dead_rows, sum(sequential_scans)::float8 AS sequential_scans, sum(sequential_rows)::float8 AS sequential_rows, sum(index_scans)::float8 AS index_scans, sum(index_rows)::float8 AS index_rows, sum(inserted_rows)::float8 AS inserted_rows, sum(updated_rows)::float8 AS updated_rows, sum(deleted_rows)::float8 AS deleted_rows, sum(hot_updates)::float8 AS hot_updates, sum(vacuums)::float8 AS vacuums, sum(analyzes)::float8 AS analyzes, sum(heap_read)::float8 AS heap_read, sum(heap_hit)::float8 AS heap_hit, sum(index_read)::float8 AS index_read, sum(index_hit)::float8 AS index_hit
              FROM counted WHERE relispartition AND live_rows + sequential_scans + inserted_rows + updated_rows + deleted_rows + vacuums + analyzes + coalesce(index_scans, 0) > 0 GROUP BY 1) p
      JOIN pg_catalog.pg_class r ON r.oid = p.root)
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(m.relname) AS relation, m.live_rows, m.dead_rows, m.sequential_scans, m.sequential_rows, m.index_scans, m.index_rows, m.inserted_rows, m.updated_rows, m.deleted_rows, m.hot_updates, m.vacuums, m.analyzes, m.heap_read, m.heap_hit, m.index_read, m.index_hit
  FROM made m JOIN pg_catalog.pg_namespace n ON n.oid = m.relnamespace

-- name: table_sizes
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(r.relname) AS relation, sum(pg_catalog.pg_total_relation_size(s.oid))::bigint AS total_bytes
  FROM (SELECT CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) ELSE c.oid END AS root, c.oid,
               sum(c.relpages) OVER (PARTITION BY CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) ELSE c.oid END) AS pages
          FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't') s
  JOIN (SELECT root FROM (SELECT CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) ELSE c.oid END AS root, c.relpages
                            FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't') p
         GROUP BY root ORDER BY sum(relpages) DESC, root LIMIT 100) most USING (root)
  JOIN pg_catalog.pg_class r ON r.oid = s.root JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
 GROUP BY 1

-- name: functions
SELECT pg_catalog.quote_ident(schemaname) || '.' || pg_catalog.quote_ident(funcname) AS function, sum(calls)::float8 AS calls, (sum(self_time) / 1000)::float8 AS self_seconds
  FROM pg_catalog.pg_stat_user_functions GROUP BY 1 ORDER BY 3 DESC LIMIT 100
