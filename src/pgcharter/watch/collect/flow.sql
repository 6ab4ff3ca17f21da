-- What pgcharter's own tables say; where a database has none of them it is not asked.

-- name: consumers
SELECT consumer, pg_catalog.bool_or(state = 'stale')::int AS stale, pg_catalog.bool_or(error IS NOT NULL AND state = 'running')::int AS failing,
       pg_catalog.left(max(error), 120) AS error,
       extract(epoch FROM max(pg_catalog.clock_timestamp() - greatest(lease_until, moved_at)) FILTER (WHERE state = 'running'))::float8 AS unattended_seconds
  FROM pgcharter.feeds GROUP BY consumer ORDER BY consumer

-- name: outbox_lag
SELECT f.consumer, max(coalesce((SELECT extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(o.due_at, o.created_at))::float8
                                   FROM pgcharter.outbox o WHERE o.position > f.position ORDER BY o.position LIMIT 1), 0)) AS outbox_seconds
  FROM pgcharter.feeds f WHERE f.log = 'outbox' AND f.state = 'running' GROUP BY f.consumer ORDER BY f.consumer

-- name: events_lag
SELECT f.consumer, max(coalesce((SELECT extract(epoch FROM pg_catalog.clock_timestamp() - e.created_at)::float8
                                   FROM pgcharter.events e WHERE e.position > f.position ORDER BY e.position LIMIT 1), 0)) AS events_seconds
  FROM pgcharter.feeds f WHERE f.log = 'events' AND f.state = 'running' GROUP BY f.consumer ORDER BY f.consumer

-- name: parked
SELECT consumer, count(*) FILTER (WHERE state = 'dead') AS dead, count(*) FILTER (WHERE state = 'waiting') AS waiting,
       extract(epoch FROM pg_catalog.clock_timestamp() - min(parked_at))::float8 AS parked_seconds,
       pg_catalog.left(max(error) FILTER (WHERE state <> 'behind'), 120) AS error
  FROM pgcharter.parked GROUP BY consumer ORDER BY consumer

-- name: sagas
SELECT saga_type, count(*) FILTER (WHERE stuck_at IS NOT NULL) AS stuck, count(*) FILTER (WHERE deadline < now_) AS overdue,
       coalesce(extract(epoch FROM now_ - min(next_at) FILTER (WHERE next_at < now_)), 0)::float8 AS due_seconds,
       pg_catalog.left(max(error) FILTER (WHERE stuck_at IS NOT NULL), 120) AS error
  FROM pgcharter.saga_instances, (SELECT pg_catalog.clock_timestamp() AS now_) n
 WHERE completed_at IS NULL GROUP BY saga_type, now_ ORDER BY saga_type

-- name: rebuilds
SELECT name AS projection, extract(epoch FROM pg_catalog.clock_timestamp() - building_since)::float8 AS building_seconds
  FROM pgcharter.projections WHERE building IS NOT NULL ORDER BY name

-- name: copies
SELECT slot, sink, state, reason, CASE state WHEN 'down' THEN 1 WHEN 'refused' THEN 2 WHEN 'lost' THEN 2 ELSE 0 END AS trouble,
       behind AS behind_seconds, spilled AS spilled_bytes, (wanted = 'paused')::int AS paused,
       CASE WHEN wanted = 'running' THEN extract(epoch FROM pg_catalog.clock_timestamp() - updated_at)::float8 END AS silent_seconds
  FROM pgcharter.sync_sinks ORDER BY slot, sink

-- name: comparisons
SELECT sink, source, coalesce((said ->> 'remaining')::bigint, 0) + coalesce((said ->> 'unsettled')::bigint, 0) AS differing
  FROM (SELECT sink, source, after[1]::jsonb AS said FROM pgcharter.sync_snapshots WHERE slot = 'reconcile') s
 ORDER BY sink, source

-- name: decisions
SELECT coordinator, count(*) AS undone, extract(epoch FROM pg_catalog.clock_timestamp() - min(decided_at))::float8 AS undone_seconds
  FROM pgcharter.two_phase_log GROUP BY coordinator ORDER BY coordinator

-- name: migrations
SELECT pg_catalog.concat_ws(' ', nullif(version, ''), nullif(migration_name, '')) AS migration, (outcome = 'failed')::int AS failed,
       pg_catalog.left(error_message, 120) AS error,
       CASE WHEN outcome = 'running' THEN extract(epoch FROM pg_catalog.clock_timestamp() - started_at)::float8 END AS running_seconds
  FROM (SELECT DISTINCT ON (version, migration_name) * FROM pgcharter.schema_migrations ORDER BY version, migration_name, run_id DESC) m
 WHERE outcome IN ('failed', 'running') ORDER BY run_id LIMIT 50
