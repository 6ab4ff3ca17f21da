-- name: here
select pg_catalog.to_regclass('pgcharter.sync_captures') is not null

-- name: capture
select c.position, c.lost or coalesce(pg_catalog.pg_sequence_last_value('pgcharter.sync_turn'::regclass), -1) < 0,
       case when c.lease_until > pg_catalog.clock_timestamp() then c.pid end,
       (select pg_catalog.sum(pg_catalog.pg_total_relation_size(i.inhrelid)) from pg_catalog.pg_inherits i
         where i.inhparent = 'pgcharter.sync_log'::regclass)::bigint,
       coalesce(pg_catalog.pg_sequence_last_value('pgcharter.sync_position'::regclass), 0)
  from pgcharter.sync_captures c where c.slot = %s

-- name: behind
select count(*), coalesce(sum(coalesce(pg_catalog.pg_column_size(l.row), 0) + coalesce(pg_catalog.pg_column_size(l.old), 0) + 60), 0)::bigint,
       (select max(position) from pgcharter.sync_log)
  from (select row, old from pgcharter.sync_log where position > %s order by position limit 100000) l

-- name: alive
select c.lost or coalesce(pg_catalog.pg_sequence_last_value('pgcharter.sync_turn'::regclass), -1) < 0
  from pgcharter.sync_captures c where c.slot = %s

-- name: confirmed
select position from pgcharter.sync_captures where slot = %s

-- name: take
update pgcharter.sync_captures
   set owner = %s, pid = %s, token = token + 1, lease_until = pg_catalog.clock_timestamp() + interval '15 s'
 where slot = %s and (owner is null or owner = %s or lease_until is null or lease_until < pg_catalog.clock_timestamp())
returning token, position

-- name: move
update pgcharter.sync_captures
   set position = greatest(position, %s), lease_until = pg_catalog.clock_timestamp() + interval '15 s'
 where slot = %s and token = %s

-- name: leave
update pgcharter.sync_captures set lease_until = null where slot = %s and token = %s

-- name: make
insert into pgcharter.sync_captures (slot, position) values (%s, %s)

-- name: last
select coalesce(pg_catalog.pg_sequence_last_value('pgcharter.sync_position'::regclass), 0)

-- name: writers
select pg_catalog.array_agg(distinct l.virtualtransaction)
  from pg_catalog.pg_locks l
 where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
   and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
   and l.relation in (select coalesce(t.relid, r.oid) from pg_catalog.unnest(%s::oid[]) r (oid)
                        left join lateral pg_catalog.pg_partition_tree(r.oid) t on true)
   and l.pid is distinct from pg_catalog.pg_backend_pid()

-- name: left
select pg_catalog.array_agg(distinct l.virtualtransaction) from pg_catalog.pg_locks l where l.virtualtransaction = any (%s)

-- name: untriggered
select pg_catalog.array_agg(t.oid::int8)
  from pg_catalog.unnest(%s::oid[]) t (oid)
 where (select pg_catalog.count(*) from pg_catalog.pg_trigger g
         where g.tgrelid = t.oid and g.tgname in ('0_pgcharter_sync', '0_pgcharter_sync_truncate') and g.tgenabled <> 'D') < 2

-- name: rows
select position, relation, op, mark, row, old, (extract(epoch from at) * 1000000)::bigint
  from pgcharter.sync_log where position > %s and position <= %s order by position limit %s

-- name: shapes
select ancestors, columns, oids, modifiers, types, generated from pgcharter.sync_shapes where relation = %s and mark = %s limit 1
