-- Jobs that the charter declares, as their scheduler keeps them.

-- name: jobs
SELECT j.name AS job, CASE WHEN j.alarm THEN j.failures END AS failures, coalesce(j.last_status, 'never run') AS status, j.paused::int AS paused,
       CASE WHEN NOT j.paused AND (j.lease_until IS NULL OR j.lease_until < now_)
            THEN greatest(extract(epoch FROM now_ - least(j.next_run, j.again_at))::float8, 0) END AS overdue_seconds,
       CASE WHEN j.lease_until > now_
            THEN (SELECT extract(epoch FROM now_ - r.started_at)::float8 FROM pgcharter.job_runs r WHERE r.run_id = j.run_id) END AS running_seconds
  FROM pgcharter.jobs j, (SELECT pg_catalog.clock_timestamp() AS now_) n
 WHERE j.declared ORDER BY j.name
