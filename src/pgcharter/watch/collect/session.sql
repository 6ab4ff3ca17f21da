-- What must be known of a session before anything is asked in it.

-- name: session
SELECT pg_catalog.current_setting('server_version_num')::int AS version, pg_catalog.pg_is_in_recovery() AS standby,
       pg_catalog.current_setting('is_superuser') = 'on' AS superuser, pg_catalog.pg_has_role('pg_monitor', 'USAGE') AS monitor,
       pg_catalog.current_database()::text AS database, pg_catalog.quote_ident(current_user) AS role, session_user::text AS login,
       pg_catalog.pg_backend_pid() AS pid,
       (SELECT coalesce(pg_catalog.array_agg(e.extname::text), '{}') FROM pg_catalog.pg_extension e) AS extensions,
       (SELECT coalesce(pg_catalog.json_object_agg(c.relname, pg_catalog.json_build_object(
               'readable', pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
               'filtered', pg_catalog.row_security_active(c.oid),
               'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_attribute a
                            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))), '{}')
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'pgcharter' AND c.relkind IN ('r', 'p')) AS tables

-- Which server it is; some providers let nobody ask that.
-- name: server
SELECT (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s) || '/'
       || CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'
               ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END

-- name: databases
SELECT d.datname::text AS name, pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS allowed
  FROM pg_catalog.pg_database d
 WHERE d.datallowconn AND NOT d.datistemplate AND d.datconnlimit <> -2
 ORDER BY d.datname <> pg_catalog.current_database(), d.datname
