-- The locks by which only one runner is at work in a database, or in a schema that has its own history: session-level advisory locks of two
-- integers. The second is 0, or the oid of the schema, as the signed number that the function takes.

-- name: try
select pg_catalog.pg_try_advisory_lock(%s::int4, (o.oid - case when o.oid > 2147483647 then 4294967296 else 0 end)::int4)
  from (select coalesce((select n.oid::int8 from pg_catalog.pg_namespace n where n.nspname = %s), 0) as oid) o

-- name: held
select pg_catalog.pg_backend_pid(),
       exists (select from pg_catalog.pg_locks l
                where l.locktype = 'advisory' and l.pid = pg_catalog.pg_backend_pid() and l.granted
                  and l.classid::int8 = %s and l.objid = coalesce((select n.oid from pg_catalog.pg_namespace n where n.nspname = %s), 0)
                  and l.objsubid = 2)

-- name: recovering
select pg_catalog.pg_is_in_recovery()

-- name: holders
select a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), a.backend_start,
       '', '', a.pid = any (%s), false, coalesce(a.backend_type, 'client backend')
  from pg_catalog.pg_locks l
  join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory' and l.granted and l.classid::int8 = %s and l.objid = coalesce((select n.oid from pg_catalog.pg_namespace n where n.nspname = %s), 0)
   and l.objsubid = 2 and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
 order by a.pid
