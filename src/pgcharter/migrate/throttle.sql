-- How strained the server is. Every query gives one number, or NULL where there is nothing to say or the role may not see it.

-- Replicas of any kind; pg_basebackup has no replay position. What is not even written out yet counts. Bytes, because time since the last replayed transaction grows on an idle server.
-- name: replica_lag
select max(pg_catalog.pg_wal_lsn_diff(case when pg_catalog.pg_is_in_recovery() then null else pg_catalog.pg_current_wal_insert_lsn() end, r.replay_lsn))::float8
  from pg_catalog.pg_stat_replication r where r.replay_lsn is not null

-- name: replica_seconds
select max(extract(epoch from r.replay_lag))::float8 from pg_catalog.pg_stat_replication r
 where r.replay_lsn is not null and r.replay_lsn < pg_catalog.pg_current_wal_insert_lsn()

-- Whether there is a queue to be watched at all.
-- name: archived
select pg_catalog.current_setting('archive_mode') <> 'off'

-- name: archive_queue
select count(*)::float8 from pg_catalog.pg_ls_archive_statusdir() f where f.name like '%.ready'

-- name: wal_written
select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::float8

-- Sessions that wait for the table, one of its rows (a tuple lock names the table), or a transaction that holds a lock on the table.
-- name: lock_waits
select count(distinct l.pid)::float8 from pg_catalog.pg_locks l
 where not l.granted and l.pid <> %(pid)s
   and (l.relation = %(table)s::int8::oid
        or (l.locktype = 'transactionid' and exists (
              select from pg_catalog.pg_locks o
               where o.pid = l.pid and o.granted and o.locktype in ('relation', 'tuple') and o.relation = %(table)s::int8::oid)))

-- name: dead_rows
select case when pg_catalog.current_setting('autovacuum')::bool
             and not coalesce(c.reloptions @> '{autovacuum_enabled=false}' or c.reloptions @> '{autovacuum_enabled=off}', false)
       then s.n_dead_tup::float8 / greatest(s.n_live_tup, 1000) end
  from pg_catalog.pg_stat_all_tables s join pg_catalog.pg_class c on c.oid = s.relid where s.relid = %(table)s::int8::oid

-- name: vacuums
select count(*)::float8 from pg_catalog.pg_stat_progress_vacuum v
 where v.relid = %(table)s::int8::oid
