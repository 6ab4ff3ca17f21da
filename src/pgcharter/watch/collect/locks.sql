-- Who keeps whom waiting. pg_blocking_pids is asked for those only who wait: it holds the lock manager for a moment.

-- Roots are those whom others wait for and who wait for nobody; a prepared transaction is pid 0.
-- name: blockers
WITH RECURSIVE waits AS MATERIALIZED (
    SELECT l.pid, pg_catalog.pg_blocking_pids(l.pid) AS by, coalesce(l.waitstart, pg_catalog.clock_timestamp()) AS since,
           l.mode || coalesce(' on ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), ' (' || l.locktype || ')') AS wanted
      FROM (SELECT DISTINCT ON (pid) * FROM pg_catalog.pg_locks WHERE NOT granted ORDER BY pid) l
      LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace),
edges AS (SELECT DISTINCT w.pid, b.pid AS blocker FROM waits w, pg_catalog.unnest(w.by) b (pid)),
tree AS (SELECT e.blocker AS root, e.pid FROM edges e WHERE e.blocker NOT IN (SELECT pid FROM waits)
         UNION SELECT t.root, e.pid FROM tree t JOIN edges e ON e.blocker = t.pid),
roots AS (SELECT t.root, count(*) AS blocked, extract(epoch FROM pg_catalog.clock_timestamp() - min(w.since))::float8 AS waited_seconds,
                 (pg_catalog.array_agg(w.wanted ORDER BY w.since))[1] AS wanted
            FROM tree t JOIN waits w USING (pid) GROUP BY t.root)
SELECT CASE r.root WHEN 0 THEN 'a prepared transaction' ELSE 'pid ' || r.root END AS blocker, r.blocked, r.waited_seconds, r.wanted,
       coalesce(pg_catalog.concat_ws(' ', coalesce(pg_catalog.quote_ident(a.usename), a.backend_type), 'in', pg_catalog.quote_ident(a.datname), nullif('(' || a.application_name || ')', '()')), 'gone from memory') AS who,
       coalesce(a.state, 'prepared') AS state, extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS age_seconds,
       coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 60), '') AS query,
       CASE WHEN r.root = 0 THEN 'pgcharter transactions recover; or ROLLBACK PREPARED what SELECT gid, prepared, owner FROM pg_prepared_xacts ORDER BY prepared shows first'
            WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%wraparound%' THEN 'leave it alone: it saves the database from wraparound; let those who wait come back later'
            WHEN a.backend_type = 'autovacuum worker' THEN 'nothing: autovacuum lets go by itself as soon as deadlock_timeout has passed'
            WHEN a.state LIKE 'idle in transaction%' THEN 'SELECT pg_terminate_backend(' || r.root || '): it does nothing, and only its end frees the locks'
            ELSE 'SELECT pg_cancel_backend(' || r.root || '): its statement fails and the transaction is rolled back' END AS safe
  FROM roots r LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = r.root
 ORDER BY r.waited_seconds DESC LIMIT 20

-- name: exclusive_queue
SELECT l.pid::text AS pid, extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 AS exclusive_seconds,
       coalesce(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), 'table ' || l.relation) AS relation,
       (SELECT count(*) FROM pg_catalog.pg_locks b
         WHERE b.relation = l.relation AND b.database = l.database AND NOT b.granted AND b.waitstart >= l.waitstart AND b.pid <> l.pid) AS behind,
       pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 60) AS query
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
  LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.waitstart IS NOT NULL
 ORDER BY l.waitstart LIMIT 20

-- Locks taken by the fast path are kept in each process, not in the table.
-- name: lock_table
SELECT held, room, 100.0 * held / room AS locks_percent
  FROM (SELECT count(*) AS held FROM pg_catalog.pg_locks WHERE NOT fastpath AND locktype NOT IN ('virtualxid', 'spectoken') AND mode <> 'SIReadLock') h,
       (SELECT pg_catalog.current_setting('max_locks_per_transaction')::bigint
               * (pg_catalog.current_setting('max_connections')::bigint + pg_catalog.current_setting('max_prepared_transactions')::bigint) AS room) r
