-- What changes without anybody changing it, and who is connected how.

-- name: weak_passwords
SELECT pg_catalog.quote_ident(rolname) AS role, 1 AS md5 FROM pg_catalog.pg_authid WHERE rolcanlogin AND rolpassword LIKE 'md5%' ORDER BY 1 LIMIT 50

-- What ended long ago was meant to.
-- name: expiring_roles
SELECT pg_catalog.quote_ident(rolname) AS role, pg_catalog.to_char(rolvaliduntil, 'YYYY-MM-DD HH24:MI') AS until,
       extract(epoch FROM rolvaliduntil - now_)::float8 AS valid_seconds
  FROM pg_catalog.pg_roles, (SELECT coalesce(%(now)s::timestamptz, pg_catalog.clock_timestamp()) AS now_) n
 WHERE rolcanlogin AND pg_catalog.isfinite(rolvaliduntil) AND rolvaliduntil > now_ - interval '7 days'
 ORDER BY rolvaliduntil LIMIT 50

-- name: plain_sessions
SELECT pg_catalog.quote_ident(a.usename) AS role, pg_catalog.host(a.client_addr) AS address, count(*) AS sessions
  FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_stat_ssl t USING (pid) LEFT JOIN pg_catalog.pg_stat_gssapi g USING (pid)
 WHERE a.client_addr IS NOT NULL AND NOT t.ssl AND NOT coalesce(g.encrypted, false)
   AND NOT (a.client_addr << inet '127.0.0.0/8' OR a.client_addr = inet '::1' OR a.client_addr IS NOT DISTINCT FROM pg_catalog.inet_server_addr())
 GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20

-- name: transport
SELECT (pg_catalog.current_setting('ssl') = 'off' AND listens !~ '^\s*((localhost|127\.[0-9.]+|::1)\s*,?\s*)*$')::int AS tls_off, listens,
       ((SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'password_encryption') = 'md5')::int AS md5_default
  FROM (SELECT pg_catalog.current_setting('listen_addresses') AS listens) l
