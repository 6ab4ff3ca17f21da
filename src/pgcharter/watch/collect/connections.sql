-- Sessions of clients. Background processes, replication and we ourselves do not count.

-- name: connections
SELECT used, usable, 100.0 * used / usable AS used_percent, usable - used AS unused, idle,
       100.0 * idle / greatest(used, 1) AS idle_percent, used >= 20 AS many, longest_idle_seconds
  FROM (SELECT count(*) AS used, count(*) FILTER (WHERE state = 'idle') AS idle,
               extract(epoch FROM max(pg_catalog.clock_timestamp() - state_change) FILTER (WHERE state = 'idle'))::float8 AS longest_idle_seconds
          FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()) a,
       (SELECT sum(setting::int * CASE name WHEN 'max_connections' THEN 1 ELSE -1 END) AS usable
          FROM pg_catalog.pg_settings
         WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')) s

-- name: connection_limits
SELECT kind, kind_sql, name, used, allowed, 100.0 * used / greatest(allowed, 1) AS limited_percent
  FROM (SELECT 'database' AS kind, 'DATABASE' AS kind_sql, pg_catalog.quote_ident(d.datname) AS name, d.datconnlimit AS allowed,
               (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend') AS used
          FROM pg_catalog.pg_database d WHERE d.datconnlimit > 0
        UNION ALL
        SELECT 'role', 'ROLE', pg_catalog.quote_ident(r.rolname), r.rolconnlimit,
               (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid AND a.backend_type = 'client backend')
          FROM pg_catalog.pg_roles r WHERE r.rolconnlimit > 0 AND r.rolcanlogin) l
 ORDER BY limited_percent DESC

-- name: sessions
SELECT pg_catalog.quote_ident(datname) AS of, sessions, sessions_abandoned AS abandoned, sessions_fatal AS fatal, sessions_killed AS killed
  FROM pg_catalog.pg_stat_database WHERE datname IS NOT NULL AND datname NOT IN ('template0', 'template1')
