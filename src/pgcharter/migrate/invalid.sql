-- Indexes and partitions that an interrupted concurrent statement has left behind.

-- name: indexes
select i.indexrelid::int8, n.nspname::text, c.relname::text, i.indisvalid and i.indisready and i.indislive, c.relkind::text,
       (select max(p.pid) from pg_catalog.pg_stat_progress_create_index p
         where p.index_relid = i.indexrelid and p.pid <> pg_catalog.pg_backend_pid())
  from pg_catalog.pg_index i
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where i.indrelid = pg_catalog.to_regclass(%s)
 order by c.relname

-- What REINDEX CONCURRENTLY leaves (documentation, "REINDEX", "Rebuilding Indexes Concurrently"): of a table with its TOAST table, of an
-- index, of a schema, or everywhere.
-- name: leftovers
select n.nspname::text, c.relname::text
  from pg_catalog.pg_index i
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where not i.indisvalid and c.relkind = 'i' and c.relname ~ '_cc(new|old)[0-9]*$'
   and not exists (select from pg_catalog.pg_stat_progress_create_index p
                    where p.relid = i.indrelid and p.pid <> pg_catalog.pg_backend_pid())
   and (%(schema)s::text is null or n.nspname = %(schema)s
        or i.indrelid in (select t.reltoastrelid from pg_catalog.pg_class t join pg_catalog.pg_namespace s on s.oid = t.relnamespace
                           where s.nspname = %(schema)s))
   and (%(relation)s::text is null or exists (
          select from pg_catalog.pg_class t
            left join pg_catalog.pg_index x on x.indexrelid = t.oid
            left join pg_catalog.pg_class h on h.oid = coalesce(x.indrelid, t.oid)
           where t.oid = pg_catalog.to_regclass(%(relation)s)
             and (i.indrelid in (h.oid, h.reltoastrelid)
                  or i.indrelid in (select m.relid from pg_catalog.pg_partition_tree(h.oid) m))))
 order by 1, 2

-- name: definition
select pg_catalog.pg_get_indexdef(%s::int8::oid)

-- name: copied
select pg_catalog.pg_get_indexdef(i.indexrelid) from pg_catalog.pg_index i where i.indrelid = 'pg_temp.pgcharter_like'::pg_catalog.regclass

-- name: there
select pg_catalog.to_regclass(%s) is not null

-- name: detaching
select i.inhdetachpending from pg_catalog.pg_inherits i
 where i.inhrelid = pg_catalog.to_regclass(%s) and i.inhparent = pg_catalog.to_regclass(%s)
