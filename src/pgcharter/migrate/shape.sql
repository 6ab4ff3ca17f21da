-- What tables look like, and no value out of them: of pg_stats only counts and widths, never most_common_vals or histogram_bounds.

-- name: relations
-- Sizes come from the planner's page counts (exact as of the last VACUUM or ANALYZE), so no file is looked at and no table is locked.
select n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8, pg_catalog.pg_stat_get_live_tuples(c.oid)::bigint,
       (c.relpages::bigint + coalesce(t.relpages, 0)) * pg_catalog.current_setting('block_size')::bigint,
       coalesce((select pg_catalog.sum(i.relpages) from pg_catalog.pg_index x join pg_catalog.pg_class i on i.oid = x.indexrelid
                  where x.indrelid = c.oid), 0)::bigint * pg_catalog.current_setting('block_size')::bigint,
       pg_catalog.has_any_column_privilege(c.oid, 'SELECT'), pg_catalog.row_security_active(c.oid)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_class t on t.oid = c.reltoastrelid
 where c.relkind in ('r', 'p')
   and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgcharter')
 order by 1, 2

-- name: columns
select n.nspname::text, c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p')
   and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgcharter')
   and a.attnum > 0 and not a.attisdropped
 order by 1, 2, a.attnum

-- name: statistics
-- Joined to nothing: what pg_stats shows is only quick by itself.
select s.schemaname::text, s.tablename::text, s.attname::text, s.inherited, s.null_frac::float8, s.n_distinct::float8, s.avg_width,
       s.correlation::float8
  from pg_catalog.pg_stats s
 where s.schemaname !~ '^pg_' and s.schemaname <> 'information_schema'
