-- Traces of roles at work. Same rules as live_relations.sql: schema-qualified, no function of the database's own.

-- name: since
select s.stats_reset::text from pg_catalog.pg_stat_database s where s.datname = pg_catalog.current_database()

-- name: tables
select n.nspname, c.relname,
       coalesce(pg_catalog.pg_stat_get_numscans(c.oid), 0)
         + coalesce((select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid))
                       from pg_catalog.pg_index i where i.indrelid = c.oid), 0)::bigint,
       coalesce(pg_catalog.pg_stat_get_tuples_inserted(c.oid), 0),
       coalesce(pg_catalog.pg_stat_get_tuples_updated(c.oid), 0),
       coalesce(pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: entries
-- All databases: pg_shdepend is shared. Entries of roles only, whether owner, grantee or named by a row policy.
select r.rolname, pg_catalog.bool_or(d.deptype = 'o')
  from pg_catalog.pg_shdepend d
  join pg_catalog.pg_roles r on r.oid = d.refobjid
 where d.refclassid = 1260
   and d.deptype in ('o', 'a', 'r', 'i')
   and d.classid <> 1261
 group by r.rolname

-- name: sessions
select distinct a.usename from pg_catalog.pg_stat_activity a where a.usename is not null and a.pid <> pg_catalog.pg_backend_pid()

-- name: statements_at
-- Where the view of pg_stat_statements lives in this database, if it does and may be read.
select n.nspname
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
 where e.extname = 'pg_stat_statements'
   and pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
   and case when pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')  -- who is no member may not even ask
            then pg_catalog.current_setting('shared_preload_libraries') ~ 'pg_stat_statements' else false end
