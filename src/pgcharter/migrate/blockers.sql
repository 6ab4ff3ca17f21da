-- Who stands in the way of a session, and how far PostgreSQL says its statement has come.

-- name: waiting
select coalesce(a.wait_event_type = 'Lock', false) from pg_catalog.pg_stat_activity a where a.pid = %(pid)s

-- Everybody before the session in the queue, and whoever those wait for. Pid 0 is a prepared transaction.
-- name: blockers
with recursive chain (pid) as (
  select unnest(pg_catalog.pg_blocking_pids(%(pid)s))
  union
  select unnest(pg_catalog.pg_blocking_pids(c.pid)) from chain c where c.pid <> 0
), wanted as (
  select l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid
    from pg_catalog.pg_locks l where not l.granted and (l.pid = %(pid)s or l.pid in (select pid from chain))
), holding as (
  select distinct on (coalesce(h.pid, 0)) coalesce(h.pid, 0) as pid, upper(regexp_replace(h.mode, '(?<=[a-z])(?=[A-Z])|Lock$', ' ', 'g')) as mode,
         h.relation, h.locktype, h.virtualtransaction
    from pg_catalog.pg_locks h
    join wanted w on (h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
      is not distinct from
      (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)
   where h.granted and (h.pid is null or h.pid in (select pid from chain))
   order by 1, h.relation nulls last
)
select c.pid, coalesce(a.usename::text, p.owner::text, ''), coalesce(a.application_name, ''), coalesce(a.state, p.gid, ''),
       coalesce(a.xact_start, a.state_change, p.prepared), case when a.query is distinct from '<insufficient privilege>' then coalesce(left(a.query, 1000), '') else '' end,
       case when h.relation is not null then trim(regexp_replace(h.mode, ' +', ' ', 'g')) || ' on ' || coalesce(h.relation::pg_catalog.regclass::text, '')
            when h.locktype in ('virtualxid', 'transactionid') then 'an open transaction' else coalesce(h.locktype, '') end,
       c.pid = any (%(own)s),
       exists (select from pg_catalog.pg_locks l where l.pid = c.pid and not l.granted),
       coalesce(a.backend_type, '')
  from chain c
  left join pg_catalog.pg_stat_activity a on a.pid = c.pid
  left join holding h on h.pid = c.pid
  left join pg_catalog.pg_prepared_xacts p on c.pid = 0 and p.database = pg_catalog.current_database()
 where c.pid <> %(pid)s
 order by 9, 5 nulls last, c.pid

-- name: terminate
select pg_catalog.pg_terminate_backend(%s)

-- name: advance
select 'create index', p.phase, p.relid::int8,
       case when p.lockers_total > p.lockers_done then p.lockers_done when p.tuples_total > 0 then p.tuples_done else p.blocks_done end,
       case when p.lockers_total > p.lockers_done then p.lockers_total when p.tuples_total > 0 then p.tuples_total else p.blocks_total end,
       case when p.lockers_total > p.lockers_done then 'lockers' when p.tuples_total > 0 then 'tuples' else 'blocks' end
  from pg_catalog.pg_stat_progress_create_index p where p.pid = %(pid)s
union all
select lower(p.command), p.phase, p.relid::int8, p.heap_blks_scanned, p.heap_blks_total, 'blocks'
  from pg_catalog.pg_stat_progress_cluster p where p.pid = %(pid)s
union all
select 'analyze', p.phase, p.relid::int8, p.sample_blks_scanned, p.sample_blks_total, 'blocks'
  from pg_catalog.pg_stat_progress_analyze p where p.pid = %(pid)s
union all
select 'vacuum', p.phase, p.relid::int8, p.heap_blks_scanned, p.heap_blks_total, 'blocks'
  from pg_catalog.pg_stat_progress_vacuum p where p.pid = %(pid)s
union all
select 'copy', p.type, p.relid::int8, p.bytes_processed, p.bytes_total, 'bytes'
  from pg_catalog.pg_stat_progress_copy p where p.pid = %(pid)s

-- name: relation
select %s::int8::oid::pg_catalog.regclass::text
