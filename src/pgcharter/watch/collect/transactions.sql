-- Transactions that are under way, the oldest ones only.

-- name: transactions
SELECT pid::text AS pid, pg_catalog.concat_ws(' ', coalesce(pg_catalog.quote_ident(usename), backend_type), 'in', pg_catalog.quote_ident(datname), nullif('(' || application_name || ')', '()')) AS who,
       pg_catalog.left(pg_catalog.regexp_replace(query, '\s+', ' ', 'g'), 60) AS query,
       CASE WHEN state LIKE 'idle in transaction%' THEN extract(epoch FROM now_ - state_change)::float8 END AS idle_seconds,
       extract(epoch FROM now_ - xact_start)::float8 AS age_seconds,
       CASE WHEN state = 'active' THEN extract(epoch FROM now_ - query_start)::float8 END AS query_seconds
  FROM pg_catalog.pg_stat_activity, (SELECT pg_catalog.clock_timestamp() AS now_) n
 WHERE backend_type IN ('client backend', 'parallel worker', 'background worker') AND xact_start IS NOT NULL
   AND pid <> pg_catalog.pg_backend_pid() AND application_name NOT LIKE 'pg\_basebackup%'
 ORDER BY xact_start LIMIT 20

-- name: horizon
SELECT kind, holder, way, pg_catalog.age(xmin) AS held_xids
  FROM (SELECT 'session' AS kind, pid::text AS holder, backend_xmin AS xmin, 'SELECT pg_terminate_backend(' || pid || ')' AS way
          FROM pg_catalog.pg_stat_activity
         WHERE backend_xmin IS NOT NULL AND backend_type <> 'walsender' AND pid <> pg_catalog.pg_backend_pid()
        UNION ALL
        SELECT 'standby', pg_catalog.quote_ident(coalesce(nullif(application_name, ''), pid::text)), backend_xmin,
               'end the long query there, or hot_standby_feedback = off on that standby'
          FROM pg_catalog.pg_stat_replication WHERE backend_xmin IS NOT NULL
        UNION ALL
        SELECT 'replication slot', pg_catalog.quote_ident(slot_name), x,
               'have it read, or SELECT pg_drop_replication_slot(' || pg_catalog.quote_literal(slot_name) || ')'
          FROM pg_catalog.pg_replication_slots, pg_catalog.unnest(ARRAY[xmin, catalog_xmin]) x WHERE x IS NOT NULL
        UNION ALL
        SELECT 'prepared transaction', pg_catalog.quote_ident(gid), transaction,
               'in database ' || pg_catalog.quote_ident(database) || ': ROLLBACK PREPARED ' || pg_catalog.quote_literal(gid)
          FROM pg_catalog.pg_prepared_xacts) h
 WHERE NOT pg_catalog.pg_is_in_recovery()
 ORDER BY held_xids DESC LIMIT 5

-- name: prepared
SELECT gid, pg_catalog.quote_literal(gid) AS gid_sql, pg_catalog.quote_ident(owner) AS owner, pg_catalog.quote_ident(database) AS of,
       extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::float8 AS prepared_seconds
  FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 20

-- name: prepared_room
SELECT (SELECT count(*) FROM pg_catalog.pg_prepared_xacts) AS used, setting::int AS allowed,
       100.0 * (SELECT count(*) FROM pg_catalog.pg_prepared_xacts) / setting::int AS prepared_percent
  FROM pg_catalog.pg_settings WHERE name = 'max_prepared_transactions' AND setting <> '0'

-- name: ends
SELECT pg_catalog.quote_ident(datname) AS of, xact_commit + xact_rollback AS ended, xact_rollback AS rolled_back, deadlocks, conflicts
  FROM pg_catalog.pg_stat_database WHERE datname IS NOT NULL AND datname NOT IN ('template0', 'template1')
