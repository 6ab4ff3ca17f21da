-- Who is logged in and how, and whether the server's log may be read. Same rules as live_relations.sql.

-- name: now
select pg_catalog.clock_timestamp()::text, current_user::text

-- name: sessions
select a.pid || '@' || a.backend_start::text, a.usename, coalesce(pg_catalog.host(a.client_addr), ''),
       coalesce(a.application_name, ''), r.rolsuper or r.rolbypassrls or r.rolcreaterole, coalesce(s.ssl, false)
  from pg_catalog.pg_stat_activity a
  join pg_catalog.pg_roles r on r.oid = a.usesysid
  left join pg_catalog.pg_stat_ssl s on s.pid = a.pid
 where a.backend_type = 'client backend' and a.pid <> pg_catalog.pg_backend_pid()

-- name: log_rights
select pg_catalog.has_function_privilege('pg_catalog.pg_current_logfile()', 'EXECUTE'),
       pg_catalog.has_function_privilege('pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean)', 'EXECUTE'),
       pg_catalog.current_setting('logging_collector'), pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')

-- name: log_file
select pg_catalog.pg_current_logfile()

-- name: log_size
select f.size from pg_catalog.pg_stat_file(%s, true) f

-- name: log_part
select pg_catalog.pg_read_binary_file(%s, %s, %s, true)

-- name: ledger
select exists (select from pg_catalog.pg_class c
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                 join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'file_text'
                where n.nspname = 'pgcharter' and c.relname = 'schema_migrations'
                  and pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT'))

-- name: migrations
select pg_catalog.btrim(m.version || ' ' || m.migration_name), coalesce(m.file_text, '')
  from pgcharter.schema_migrations m
 where m.applied_at >= %s and m.outcome = 'done'
 order by m.run_id
