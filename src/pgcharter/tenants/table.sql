-- The table of tenants: who is there, and in which state.

-- name: there
select count(*) filter (where a.attname = 'state') > 0
  from pg_catalog.pg_attribute a
 where a.attrelid = pg_catalog.to_regclass('pgcharter.tenants') and a.attnum > 0 and not a.attisdropped

-- name: all
select tenant_id::text, name, state, state_since, created_at, settings, coalesce(place, ''), leaves_at
  from pgcharter.tenants order by name collate "C"

-- name: insert
insert into pgcharter.tenants (tenant_id, name, settings, state, state_since, place)
values (%(id)s, %(name)s, %(settings)s::jsonb, 'adding', pg_catalog.now(), %(place)s)

-- name: turn
update pgcharter.tenants set state = %(state)s, state_since = pg_catalog.now(), leaves_at = pg_catalog.now() + %(grace)s::interval
 where name = %(name)s

-- name: begin_delete
update pgcharter.tenants set state_since = pg_catalog.clock_timestamp() where name = %(name)s and state = 'leaving' and state_since <= leaves_at

-- name: unset
update pgcharter.tenants set settings = settings - %(key)s::text where name = %(name)s

-- name: set
update pgcharter.tenants set settings = settings || %(settings)s::jsonb where name = %(name)s

-- name: delete
delete from pgcharter.tenants where name = %(name)s

-- name: next_number
select coalesce(max(tenant_id::text::int8), 0) + 1 from pgcharter.tenants

-- One command at a time for one tenant: a lock of the session, whose first integer is that of the runner's locks and two more.
-- name: lock
select pg_catalog.pg_try_advisory_lock(1885823850, pg_catalog.hashtext(%s))

-- name: holder
select l.pid, coalesce(s.usename::text, ''), coalesce(s.client_addr::text, '')
  from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity s on s.pid = l.pid
 where l.locktype = 'advisory' and l.classid = 1885823850 and l.objid = pg_catalog.hashtext(%s)::int8 & 4294967295
   and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) and l.granted
