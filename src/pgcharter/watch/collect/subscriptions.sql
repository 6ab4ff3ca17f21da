-- Subscriptions of the database that is asked.

-- name: subscriptions
SELECT pg_catalog.quote_ident(s.subname) AS subscription, (s.subenabled AND w.pid IS NULL)::int AS not_running, (NOT s.subenabled)::int AS disabled,
       CASE WHEN s.subenabled THEN extract(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time)::float8 END AS silent_seconds
  FROM pg_catalog.pg_subscription s
  LEFT JOIN pg_catalog.pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL {{since 16: AND w.leader_pid IS NULL otherwise }}
 WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())

-- name: subscription_errors
SELECT pg_catalog.quote_ident(subname) AS name, apply_error_count + {{since 19: sync_table_error_count otherwise sync_error_count}} AS errors FROM pg_catalog.pg_stat_subscription_stats

-- name: subscribed_tables
SELECT pg_catalog.quote_ident(s.subname) AS subscription, count(*) AS unsynchronized,
       pg_catalog.string_agg(r.srrelid::regclass::text, ', ' ORDER BY r.srrelid::regclass::text) AS tables
  FROM pg_catalog.pg_subscription_rel r JOIN pg_catalog.pg_subscription s ON s.oid = r.srsubid
 WHERE s.subenabled AND r.srsubstate NOT IN ('r', 's')
 GROUP BY s.subname
