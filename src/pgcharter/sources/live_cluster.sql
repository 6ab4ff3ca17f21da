-- What a server holds beside its databases, and what it has counted. Same rules as live_relations.sql.

-- name: rights
-- What our role may not see degrades to a gap; asked first, so that no query fails.
select pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'),
       pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')
         and pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE'),
       pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE'),
       pg_catalog.version(), pg_catalog.pg_is_in_recovery()

-- name: roles
select r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls,
       r.rolconnlimit, r.rolvaliduntil::text, s.setconfig, d.description
  from pg_catalog.pg_roles r
  left join pg_catalog.pg_db_role_setting s on s.setrole = r.oid and s.setdatabase = 0
  left join pg_catalog.pg_shdescription d on d.classoid = 1260 and d.objoid = r.oid

-- name: password_kinds
-- The hash itself never leaves the server.
select a.oid, case when a.rolpassword is null then 'none'
                   when a.rolpassword ^@ 'SCRAM-SHA-256$' then 'scram-sha-256'
                   when a.rolpassword ^@ 'md5' then 'md5'
                   else 'unknown' end
  from pg_catalog.pg_authid a

-- name: memberships
select r.rolname, m.rolname, a.admin_option, {{since 16: a.inherit_option otherwise m.rolinherit}},
       {{since 16: a.set_option otherwise true}}, g.rolname
  from pg_catalog.pg_auth_members a
  join pg_catalog.pg_roles r on r.oid = a.roleid
  join pg_catalog.pg_roles m on m.oid = a.member
  left join pg_catalog.pg_roles g on g.oid = a.grantor

-- name: settings
-- The reader changes some settings for itself; of those the value that a new session of this role would have counts.
select s.name, case when s.source = 'session' then s.reset_val else s.setting end, s.unit,
       case when s.source <> 'session' then s.source when s.reset_val = s.boot_val then 'default' else 'reset value' end
  from pg_catalog.pg_settings s

-- name: tablespaces
select t.spcname, pg_catalog.pg_tablespace_location(t.oid), t.spcowner, t.spcoptions from pg_catalog.pg_tablespace t

-- name: databases
select d.datname from pg_catalog.pg_database d where not d.datistemplate

-- name: hba
select h.line_number, h.type, h.database, h.user_name,
       coalesce(h.address, '') || coalesce(' ' || h.netmask, ''), h.auth_method
  from pg_catalog.pg_hba_file_rules h
 where h.error is null

-- name: relation_stats
-- Sizes come from the planner's page counts (exact as of the last VACUUM or ANALYZE), not from a look at every file.
select n.nspname, c.relname, c.relkind, c.reltuples,
       (greatest(c.relpages, 0)::bigint + greatest(coalesce(t.relpages, 0), 0)::bigint) * pg_catalog.current_setting('block_size')::bigint,
       coalesce(pg_catalog.pg_stat_get_numscans(c.oid), 0)
         + case when c.relkind in ('r', 'm') then coalesce((select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid))
                                                             from pg_catalog.pg_index i where i.indrelid = c.oid), 0)::bigint else 0 end,
       coalesce(pg_catalog.pg_stat_get_live_tuples(c.oid), 0),
       coalesce(pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                  + pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0),
       pg_catalog.pg_stat_get_last_analyze_time(c.oid) is not null or pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid) is not null
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_class t on t.oid = c.reltoastrelid
 where c.relkind in ('r', 'p', 'm', 'f', 'i', 'I')
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: sequence_values
select n.nspname, c.relname,
       case when pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE') then pg_catalog.pg_sequence_last_value(c.oid) end
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'S'
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: stats_reset
select s.stats_reset from pg_catalog.pg_stat_database s where s.datname = pg_catalog.current_database()

-- name: null_fractions
-- Of columns that are mostly NULL, as far as our role may read them. Joined to nothing: what pg_stats shows is only quick by itself.
select s.schemaname, s.tablename, s.attname, s.null_frac, s.inherited
  from pg_catalog.pg_stats s
 where s.null_frac > 0.5
   and s.schemaname !~ '^pg_' and s.schemaname <> 'information_schema'

-- name: unreadable
-- Large tables whose column statistics are kept from our role.
select n.nspname, c.relname
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and c.reltuples >= 10000
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and (not pg_catalog.has_table_privilege(c.oid, 'SELECT') or pg_catalog.row_security_active(c.oid))
