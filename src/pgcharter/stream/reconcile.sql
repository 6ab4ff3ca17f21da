-- name: position
select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
            else pg_catalog.pg_current_wal_insert_lsn() end::text

-- name: running
select coalesce(pg_catalog.array_agg(x::text), '{}') from pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) x

-- name: committing
select x::text, a.pid, a.state
  from pg_catalog.unnest(%s::text[]::xid8[]) x
  left join pg_catalog.pg_stat_activity a on a.backend_xid = x::xid
 where not pg_catalog.pg_visible_in_snapshot(x, pg_catalog.pg_current_snapshot())
   and coalesce(a.state, '') not like 'idle in transaction%%'
   and not (exists (select from pg_catalog.pg_prepared_xacts p where p.transaction = x::xid)
            and not exists (select from pg_catalog.pg_stat_activity b
                             where coalesce(b.backend_type, 'client backend') = 'client backend' and b.usesysid is not null and b.pid <> pg_catalog.pg_backend_pid()
                               and (b.state is null or b.state = 'active')
                               and (b.query is null or b.query ~* 'prepared' or b.query = '<insufficient privilege>')))

-- name: log
insert into pgcharter.sync_corrections (id, run, slot, sink, mapping, key, differed, done)
select * from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[], %s::text[])

-- name: done
update pgcharter.sync_corrections set done = case when id = any (%s::uuid[]) then 'deleted' else 'written' end, at = now() where id = any (%s::uuid[])

-- name: emit
select pg_catalog.pg_logical_emit_message(false, 'pgcharter_sync', 'reconcile')

-- name: confirmed
select coalesce(confirmed_flush_lsn - '0/0'::pg_lsn, 0)::bigint from pg_catalog.pg_replication_slots where slot_name = %s

-- name: sink
select state, spilling, (greatest(lsn, reached) - '0/0'::pg_lsn)::bigint, reason from pgcharter.sync_sinks where slot = %s and sink = %s

-- name: relation
select c.oid, n.nspname, c.relname, c.relkind::text, c.relreplident::text, c.reltuples::bigint, '' as rowfilter,
       array(select a.attname from pg_catalog.pg_index i
               join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
              where i.indrelid = c.oid and i.indisprimary order by pg_catalog.array_position(i.indkey::int2[], a.attnum)) as keys,
       pg_catalog.array_agg(a.attname::text order by a.attnum), pg_catalog.array_agg(a.atttypid order by a.attnum),
       pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum),
       pg_catalog.array_agg(a.atttypmod order by a.attnum),
       pg_catalog.array_agg(coalesce((select a.attnum = any (i.indkey) from pg_catalog.pg_index i
                                       where i.indrelid = c.oid and i.indisprimary), false) order by a.attnum)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 where c.oid = pg_catalog.to_regclass(%s)
 group by c.oid, n.nspname

-- name: columns
select a.attname::text, pg_catalog.format_type(a.atttypid, -1)
  from pg_catalog.pg_attribute a where a.attrelid = pg_catalog.to_regclass(%s) and a.attnum > 0 and not a.attisdropped

-- name: standing
select sink, source, extract(epoch from updated_at)::float8 from pgcharter.sync_snapshots where slot = 'reconcile'

-- name: stand
insert into pgcharter.sync_snapshots as s (slot, sink, source, state, after, rows, total) values ('reconcile', %s, %s, 'done', array[%s], %s, %s)
on conflict (slot, sink, source) do update set after = excluded.after, rows = excluded.rows, total = excluded.total, updated_at = now()
