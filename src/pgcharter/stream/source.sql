-- name: tables
select c.oid, n.nspname, c.relname, c.relkind::text, c.relreplident::text, c.reltuples::bigint, p.rowfilter,
       array(select a.attname from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum = any (i.indkey)
              order by pg_catalog.array_position(i.indkey::int2[], a.attnum)) as keys,
       array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
              and a.attgenerated = '' and a.attname <> all (p.attnames) order by a.attnum) as unpublished,
       cols.names, cols.oids, cols.types, cols.modifiers, cols.identity
  from pg_catalog.pg_publication_tables p
  join pg_catalog.pg_namespace n on n.nspname = p.schemaname
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
  left join lateral (select x.indkey from pg_catalog.pg_index x
                      where x.indrelid = c.oid and x.indisvalid and (x.indisprimary or x.indisreplident)
                      order by x.indisreplident and c.relreplident = 'i' desc, x.indisprimary desc limit 1) i on true
 cross join lateral (
       select pg_catalog.array_agg(a.attname::text order by a.attnum) as names, pg_catalog.array_agg(a.atttypid order by a.attnum) as oids,
              pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum) as types,
              pg_catalog.array_agg(a.atttypmod order by a.attnum) as modifiers,
              pg_catalog.array_agg(c.relreplident = 'f' or (c.relreplident <> 'n' and coalesce(a.attnum = any (k.indkey), false))
                                   order by a.attnum) as identity
         from pg_catalog.pg_attribute a
         left join pg_catalog.pg_index k on k.indrelid = c.oid
              and case c.relreplident when 'd' then k.indisprimary when 'i' then k.indisreplident end
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attname = any (p.attnames)
          and {{since 18: true otherwise a.attgenerated = ''}}) cols
 where p.pubname = %s
 order by n.nspname, c.relname

-- name: server
select pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('max_replication_slots')::int,
       pg_catalog.current_setting('max_wal_senders')::int, (select count(*) from pg_catalog.pg_replication_slots),
       (select r.rolreplication or r.rolsuper or exists (select from pg_catalog.pg_roles m
                where m.rolname = 'rds_replication' and pg_catalog.pg_has_role(m.oid, 'member'))
          from pg_catalog.pg_roles r where r.rolname = current_user),
       pg_catalog.pg_size_bytes(s.setting || s.unit), pg_catalog.pg_is_in_recovery(), current_user,
       (select count(*) from pg_catalog.pg_stat_replication)
  from pg_catalog.pg_settings s where s.name = 'max_slot_wal_keep_size'

-- name: slot
select s.plugin, s.database = pg_catalog.current_database(), s.active_pid, s.wal_status, s.confirmed_flush_lsn::text, s.restart_lsn::text,
       s.safe_wal_size, {{since 17: s.invalidation_reason otherwise null}}, {{since 17: s.failover otherwise null}},
       case when pg_catalog.pg_is_in_recovery() then null
            else pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn) end::bigint,
       case when pg_catalog.pg_is_in_recovery() then null
            else pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn) end::bigint
  from pg_catalog.pg_replication_slots s where s.slot_name = %s

-- name: publication
select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate, pubviaroot from pg_catalog.pg_publication where pubname = %s
