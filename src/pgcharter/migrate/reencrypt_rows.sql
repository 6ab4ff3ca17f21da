-- Where the rows of an encrypted column are.

-- The tables that hold rows: the table itself, its partitions, its heirs.
-- name: leaves
with recursive below (oid) as (
  select pg_catalog.to_regclass(%s)::oid
  union all
  select i.inhrelid from pg_catalog.pg_inherits i join below b on i.inhparent = b.oid
)
select c.oid::int8, pg_catalog.format('%%I.%%I', n.nspname, c.relname), greatest(c.reltuples, 0)::int8
  from below b join pg_catalog.pg_class c on c.oid = b.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r'
 order by c.oid

-- name: primary_key
select a.attname::text
  from pg_catalog.pg_index i
 cross join unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality as u (attnum, position)
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum
 where i.indrelid = pg_catalog.to_regclass(%s) and i.indisprimary
 order by u.position

-- name: ready
select pg_catalog.to_regclass('pgcharter.key_jobs') is not null
