-- name: tables
select n.nspname::text, c.relname::text, c.relkind::text
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm') and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema')
   and n.nspname !~ '^pg_(toast|temp)' and (c.relkind = 'r' or c.relispopulated)
 order by 1, 2

-- name: sequences
select n.nspname::text, c.relname::text, pg_catalog.pg_sequence_last_value(c.oid)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'S' and c.relpersistence = 'p' and n.nspname !~ '^pg_temp'
   and case when c.relkind = 'S' then pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT') end order by 1, 2

-- name: snapshot
select pg_catalog.pg_current_snapshot()::text

-- name: settings
set local search_path = pg_catalog; set local row_security = off; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
set local timezone = 'UTC'; set local extra_float_digits = 3; set local bytea_output = 'hex'; set local xmloption = 'content';
set local lc_monetary = 'C'; set local lc_numeric = 'C'; set local statement_timeout = 0; set local lock_timeout = '5s'

-- name: status
select x.xid from pg_catalog.unnest(%s::text[]) as x(xid)
 where x.xid::xid8 < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
   and pg_catalog.pg_xact_status(x.xid::xid8) = 'committed'

-- name: next
select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text
