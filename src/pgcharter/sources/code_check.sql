-- name: extension
-- Where plpgsql_check is installed in this database.
select pg_catalog.quote_ident(n.nspname)
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
 where e.extname = 'plpgsql_check'

-- name: offered
select true from pg_catalog.pg_available_extensions where name = 'plpgsql_check'

-- name: routines
-- PL/pgSQL routines that belong to no extension; trigger functions once for each relation they are called for, with the
-- transition tables of all its triggers: what stands in a branch for INSERT sees those of that trigger.
select p.oid, n.nspname, p.proname,
       pg_catalog.array_to_string(array(select pg_catalog.format_type(t.oid, -1)
               from pg_catalog.unnest(p.proargtypes) with ordinality a (type, place)
               join pg_catalog.pg_type t on t.oid = a.type order by a.place), ', '),
       p.prokind = 'p', p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype,
       exists (select from pg_catalog.pg_type t
                where t.oid = any (p.proargtypes::pg_catalog.oid[] || p.prorettype) and t.typtype = 'p' and t.typname like 'any%'),
       t.tgrelid, rn.nspname, r.relname, t.tgoldtable, t.tgnewtable
  from pg_catalog.pg_proc p
  join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  left join (select tgfoid, tgrelid, max(tgoldtable::text) as tgoldtable, max(tgnewtable::text) as tgnewtable
               from pg_catalog.pg_trigger
              where not tgisinternal and tgparentid = 0
              group by tgfoid, tgrelid) t on t.tgfoid = p.oid
  left join pg_catalog.pg_class r on r.oid = t.tgrelid
  left join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgcharter_code')
   and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e')
 order by n.nspname, p.proname, p.oid, rn.nspname, r.relname

-- name: path
-- The session's own path, then the routine's schema, then all others: what path the application has is not known.
select pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', nullif(pg_catalog.current_setting('search_path'), ''), %s::text,
       (select pg_catalog.string_agg(pg_catalog.quote_ident(nspname), ', ' order by nspname) from pg_catalog.pg_namespace
         where nspname !~ '^pg_' and nspname not in ('information_schema', 'pgcharter_code'))), true)
