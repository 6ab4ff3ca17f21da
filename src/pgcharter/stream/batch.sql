-- name: hidden
select count(*) from pg_catalog.pg_stat_activity
 where datname = pg_catalog.current_database() and usesysid is not null and state is null and backend_type is null

-- name: now
select (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint

-- name: open
select (extract(epoch from least(min(a.xact_start), pg_catalog.clock_timestamp())) * 1000000)::bigint,
       (select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint - 1000 - max(pg_catalog.age(p.transaction))
          from pg_catalog.pg_prepared_xacts p where p.database = pg_catalog.current_database())
  from pg_catalog.pg_stat_activity a where a.datname = pg_catalog.current_database() and a.pid <> all (%s::int[])

-- name: kept
select after[1] from pgcharter.sync_snapshots where slot = 'batch' and sink = %s and source = %s

-- name: keep
insert into pgcharter.sync_snapshots as s (slot, sink, source, state, after, rows) values ('batch', %s, %s, 'done', array[%s], %s)
on conflict (slot, sink, source) do update set after = excluded.after, rows = s.rows + excluded.rows, updated_at = now()
