-- States of jobs. Whatever changes one says which state it has seen (token, time), so that of two schedulers one does it.

-- name: declare
INSERT INTO pgcharter.jobs AS j (name, definition, alarm, scheduled_for, next_run)
VALUES (%(name)s, %(definition)s, %(alarm)s, %(scheduled_for)s, %(next_run)s::timestamptz)
ON CONFLICT (name) DO UPDATE
   SET definition = excluded.definition, alarm = excluded.alarm, declared = true, updated_at = pg_catalog.clock_timestamp(),
       scheduled_for = CASE WHEN j.definition = excluded.definition THEN j.scheduled_for ELSE excluded.scheduled_for END,
       next_run = CASE WHEN j.definition = excluded.definition THEN j.next_run ELSE excluded.next_run END
 WHERE (j.definition, j.alarm, j.declared) IS DISTINCT FROM (excluded.definition, excluded.alarm, true)

-- name: undeclare
UPDATE pgcharter.jobs SET declared = false, updated_at = pg_catalog.clock_timestamp() WHERE declared AND name <> ALL (%(names)s)

-- name: states
SELECT name, paused, scheduled_for, next_run, again_at, again_for, again_why, again_attempt, lease_owner, fencing_token, run_id,
       coalesce(lease_until <= pg_catalog.clock_timestamp(), false), cancel_asked, last_status, last_ended_at, failures, pg_catalog.clock_timestamp()
  FROM pgcharter.jobs WHERE name = ANY (%(names)s) ORDER BY name

-- name: now
SELECT pg_catalog.clock_timestamp()

-- name: claim
WITH mine AS (
    UPDATE pgcharter.jobs
       SET lease_owner = %(owner)s, lease_until = pg_catalog.clock_timestamp() + %(lease)s, fencing_token = fencing_token + 1, cancel_asked = false,
           run_id = pg_catalog.gen_random_uuid(), updated_at = pg_catalog.clock_timestamp(),
           scheduled_for = coalesce(%(following)s::timestamptz, scheduled_for), next_run = coalesce(%(next_run)s::timestamptz, next_run),
           again_at = CASE WHEN %(again)s::boolean THEN NULL ELSE again_at END, again_for = CASE WHEN %(again)s::boolean THEN NULL ELSE again_for END,
           again_why = CASE WHEN %(again)s::boolean THEN NULL ELSE again_why END, again_attempt = CASE WHEN %(again)s::boolean THEN 1 ELSE again_attempt END
     WHERE name = %(name)s AND lease_owner IS NULL AND fencing_token = %(token)s AND scheduled_for = %(seen)s
    RETURNING name, run_id, fencing_token
)
INSERT INTO pgcharter.job_runs (run_id, job_name, scheduled_for, reason, attempt, status, fencing_token, worker)
SELECT run_id, name, coalesce(%(for)s::timestamptz, pg_catalog.clock_timestamp()), %(reason)s::text, %(attempt)s::int, 'running', fencing_token, %(owner)s FROM mine
RETURNING run_id, fencing_token

-- A time of its schedule passes without a run of its own: it is left out, missed, or put behind the run that is under way.
-- name: pass
WITH moved AS (
    UPDATE pgcharter.jobs
       SET scheduled_for = %(following)s::timestamptz, next_run = %(next_run)s::timestamptz, updated_at = pg_catalog.clock_timestamp(), cancel_asked = cancel_asked OR %(cancel)s::boolean,
           again_at = CASE WHEN %(again)s::boolean THEN coalesce(again_at, pg_catalog.clock_timestamp()) ELSE again_at END,
           again_for = CASE WHEN %(again)s::boolean THEN %(for)s::timestamptz ELSE again_for END,
           again_why = CASE WHEN %(again)s::boolean THEN %(why)s::text ELSE again_why END
     WHERE name = %(name)s AND scheduled_for = %(seen)s AND fencing_token = %(token)s
    RETURNING name
)
INSERT INTO pgcharter.job_runs (job_name, scheduled_for, reason, status, ended_at, error_message)
SELECT name, %(for)s::timestamptz, 'schedule', %(status)s::text, pg_catalog.clock_timestamp(), %(error)s::text FROM moved WHERE %(status)s::text IS NOT NULL

-- name: renew
UPDATE pgcharter.jobs SET lease_until = pg_catalog.clock_timestamp() + %(lease)s, updated_at = pg_catalog.clock_timestamp()
 WHERE name = %(name)s AND lease_owner = %(owner)s AND fencing_token = %(token)s RETURNING cancel_asked

-- name: finish
WITH mine AS (
    UPDATE pgcharter.jobs
       SET lease_owner = NULL, lease_until = NULL, run_id = NULL, cancel_asked = false, last_status = %(status)s::text,
           last_ended_at = pg_catalog.clock_timestamp(), updated_at = pg_catalog.clock_timestamp(),
           failures = CASE WHEN %(status)s::text = 'succeeded' THEN 0 WHEN %(status)s::text = 'cancelled' THEN failures ELSE failures + 1 END,
           again_at = coalesce(again_at, CASE WHEN %(retry)s::boolean THEN pg_catalog.clock_timestamp() + %(backoff)s::interval END),
           again_for = CASE WHEN again_at IS NULL AND %(retry)s::boolean THEN %(for)s::timestamptz ELSE again_for END,
           again_attempt = CASE WHEN again_at IS NULL AND %(retry)s::boolean THEN %(attempt)s::int + 1 ELSE again_attempt END,
           again_why = CASE WHEN again_at IS NULL AND %(retry)s::boolean THEN 'retry' ELSE again_why END
     WHERE name = %(name)s AND lease_owner = %(owner)s AND fencing_token = %(token)s
    RETURNING name
)
UPDATE pgcharter.job_runs
   SET status = %(status)s::text, ended_at = pg_catalog.clock_timestamp(), exit_code = %(exit_code)s::int, error_message = %(error)s::text, output = %(output)s::text
 WHERE run_id = %(run)s AND EXISTS (SELECT FROM mine)
RETURNING ended_at

-- A scheduler that has gone: its lease is over.
-- name: lose
WITH lost AS (
    UPDATE pgcharter.jobs j
       SET lease_owner = NULL, lease_until = NULL, run_id = NULL, cancel_asked = false, fencing_token = fencing_token + 1, last_status = 'lost',
           last_ended_at = pg_catalog.clock_timestamp(), failures = failures + 1, updated_at = pg_catalog.clock_timestamp(),
           again_at = CASE WHEN %(again)s::boolean THEN coalesce(again_at, pg_catalog.clock_timestamp()) ELSE again_at END,
           again_for = CASE WHEN %(again)s::boolean AND again_at IS NULL THEN (SELECT r.scheduled_for FROM pgcharter.job_runs r WHERE r.run_id = j.run_id) ELSE again_for END,
           again_why = CASE WHEN %(again)s::boolean AND again_at IS NULL THEN 'lost' ELSE again_why END
      FROM (SELECT name AS of, run_id AS was FROM pgcharter.jobs WHERE name = %(name)s FOR NO KEY UPDATE) b
     WHERE j.name = b.of AND j.fencing_token = %(token)s AND j.lease_until <= pg_catalog.clock_timestamp()
    RETURNING b.was
)
UPDATE pgcharter.job_runs
   SET status = 'lost', ended_at = pg_catalog.clock_timestamp(), error_message = 'its scheduler was not heard of until its lease was over'
 WHERE run_id = (SELECT was FROM lost) AND status = 'running'
RETURNING run_id

-- name: pause
UPDATE pgcharter.jobs SET paused = %(paused)s, updated_at = pg_catalog.clock_timestamp(),
       again_at = NULL, again_for = NULL, again_why = NULL, again_attempt = 1,
       scheduled_for = coalesce(%(following)s::timestamptz, scheduled_for), next_run = coalesce(%(next_run)s::timestamptz, next_run)
 WHERE name = %(name)s AND paused <> %(paused)s

-- name: history
SELECT run_id::text, job_name, scheduled_for, reason, attempt, status, worker, started_at, ended_at, exit_code, error_message, output
  FROM pgcharter.job_runs WHERE %(name)s::text IS NULL OR job_name = %(name)s ORDER BY started_at DESC LIMIT %(most)s

-- The last run of each job stays, however old.
-- name: prune
DELETE FROM pgcharter.job_runs r
 WHERE r.started_at < pg_catalog.clock_timestamp() - %(keep)s AND r.status <> 'running'
   AND EXISTS (SELECT FROM pgcharter.job_runs n WHERE n.job_name = r.job_name AND n.started_at > r.started_at)
