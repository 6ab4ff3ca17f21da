-- What a backfill must know of its table.

-- name: table
select c.oid::int8, c.relkind::text, n.nspname::text, c.relname::text,
       (select case when bool_or(l.reltuples >= 0) then sum(greatest(l.reltuples, 0))::int8 end
          from pg_catalog.pg_class l
         where l.relkind in ('r', 'm') and (l.oid = c.oid or l.oid in (select t.relid from pg_catalog.pg_partition_tree(c.oid) t where t.isleaf)))
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid = pg_catalog.to_regclass(%s)

-- name: columns
select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull
  from pg_catalog.pg_attribute a where a.attrelid = %s::int8::oid and a.attnum > 0 and not a.attisdropped

-- Unique keys, the primary one first, then the shortest: their columns in order, all of them plain and not null.
-- name: keys
select k.columns from (
  select i.indisprimary, i.indnkeyatts, i.indexrelid,
         array(select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality as u (attnum, position)
                 join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum and a.attnotnull
                order by u.position) as columns
    from pg_catalog.pg_index i
    join pg_catalog.pg_class x on x.oid = i.indexrelid
    join pg_catalog.pg_am m on m.oid = x.relam and m.amname = 'btree'
   where i.indrelid = %s::int8::oid and i.indisunique and i.indisvalid and i.indpred is null) k
 where cardinality(k.columns) = k.indnkeyatts
 order by k.indisprimary desc, k.indnkeyatts, k.indexrelid
