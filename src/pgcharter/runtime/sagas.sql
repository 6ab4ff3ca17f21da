-- What workers write, and what people read.

-- One statement: a saga's row is written only by who has its token, and everything else only where that row was.
-- Workers send one document for all sagas that move at the time.
-- name: begin
WITH doc AS MATERIALIZED (SELECT %(doc)s::jsonb AS d),
c AS (
    SELECT x.* FROM doc, pg_catalog.jsonb_to_recordset(d->'sagas') AS x(
        id uuid, token bigint, owner text, status text, step integer, known integer, patch jsonb, gone text[],
        release boolean, after float8, waiting text, stuck boolean, error text, result jsonb, why jsonb, round integer)
)

-- name: moved
,
moved AS (
    UPDATE pgcharter.saga_instances i SET
        status = c.status, current_step = c.step, updated_at = pg_catalog.clock_timestamp(), waiting = c.waiting,
        saga_data = CASE WHEN c.patch IS NULL AND c.gone IS NULL THEN i.saga_data
                         ELSE (i.saga_data - COALESCE(c.gone, '{}')) || COALESCE(c.patch, '{}') END,
        error = c.error, result = NULLIF(c.result, 'null'), round = c.round,
        compensation_data = NULLIF(c.why, 'null'),
        deadline = CASE WHEN i.round = c.round THEN i.deadline END,
        stuck_at = CASE WHEN c.stuck THEN COALESCE(i.stuck_at, pg_catalog.clock_timestamp()) END,
        completed_at = CASE WHEN c.status IN ('completed', 'failed') THEN COALESCE(i.completed_at, pg_catalog.clock_timestamp()) END,
        lease_owner = CASE WHEN NOT c.release THEN i.lease_owner END,
        lease_until = CASE WHEN c.release THEN NULL
                           WHEN i.lease_until < pg_catalog.clock_timestamp() + %(half)s::interval
                           THEN pg_catalog.clock_timestamp() + 2 * %(half)s::interval ELSE i.lease_until END,
        -- What it was told in the meantime counts: it is due at once.
        next_at = CASE WHEN c.release AND i.signals <> c.known THEN pg_catalog.clock_timestamp()
                       WHEN c.release THEN pg_catalog.clock_timestamp() + c.after * interval '1 s'
                       WHEN i.lease_until < pg_catalog.clock_timestamp() + %(half)s::interval
                       THEN pg_catalog.clock_timestamp() + 2 * %(half)s::interval ELSE i.next_at END
      FROM c
     WHERE i.saga_id = c.id AND i.fencing_token = c.token AND (i.lease_owner = c.owner OR (c.release AND i.lease_owner IS NULL))
 RETURNING i.saga_id, i.tenant, i.signals
)

-- Of one branch among several: the saga itself is moved by who waits for all of them.
-- name: touched
,
moved AS (
    UPDATE pgcharter.saga_instances i SET
        updated_at = pg_catalog.clock_timestamp(),
        saga_data = CASE WHEN c.patch IS NULL AND c.gone IS NULL THEN i.saga_data
                         ELSE (i.saga_data - COALESCE(c.gone, '{}')) || COALESCE(c.patch, '{}') END
      FROM c
     WHERE i.saga_id = c.id AND i.fencing_token = c.token AND i.lease_owner = c.owner
 RETURNING i.saga_id, i.tenant, i.signals
)

-- name: stepped
,
steps AS (
    INSERT INTO pgcharter.saga_steps AS o (
        saga_id, tenant, step_number, step_type, kind, status, started_at, completed_at, compensated_at, error_message, retry_count,
        compensation_count, uncertain, next_at, result)
    SELECT m.saga_id, m.tenant, s.number, s.name, s.kind, s.status,
           CASE WHEN s.began THEN pg_catalog.clock_timestamp() END,
           CASE WHEN s.status IN ('completed', 'failed', 'skipped') THEN pg_catalog.clock_timestamp() END,
           CASE WHEN s.status = 'compensated' THEN pg_catalog.clock_timestamp() END,
           s.error, s.failed, s.undo_failed, s.uncertain, pg_catalog.clock_timestamp() + s.after * interval '1 s', NULLIF(s.result, 'null')
      FROM doc, pg_catalog.jsonb_to_recordset(d->'steps') AS s(
           saga uuid, number integer, name text, kind text, status text, failed integer, undo_failed integer, uncertain boolean, error text,
           result jsonb, began boolean, after float8)
      JOIN moved m ON m.saga_id = s.saga
        ON CONFLICT (saga_id, step_number) DO UPDATE SET
           status = EXCLUDED.status, error_message = EXCLUDED.error_message, retry_count = EXCLUDED.retry_count,
           compensation_count = EXCLUDED.compensation_count, uncertain = EXCLUDED.uncertain, next_at = EXCLUDED.next_at,
           result = EXCLUDED.result, started_at = COALESCE(EXCLUDED.started_at, o.started_at),
           completed_at = CASE WHEN EXCLUDED.status = 'pending' THEN NULL
                               WHEN EXCLUDED.status = o.status THEN o.completed_at
                               ELSE COALESCE(EXCLUDED.completed_at, o.completed_at) END,
           compensated_at = EXCLUDED.compensated_at
)

-- name: more
,
history AS (
    INSERT INTO pgcharter.saga_history (entry_id, saga_id, tenant, step_number, event, attempt, message, actor, worker)
    SELECT h.id, m.saga_id, m.tenant, h.step, h.event, h.attempt, h.message, h.actor, %(owner)s
      FROM doc, pg_catalog.jsonb_to_recordset(d->'history') AS h(id uuid, saga uuid, step integer, event text, attempt integer, message text, actor text)
      JOIN moved m ON m.saga_id = h.saga
        ON CONFLICT (entry_id) DO NOTHING
),
taken AS (
    UPDATE pgcharter.saga_signals g SET taken_at = pg_catalog.clock_timestamp(), seen = true
      FROM doc, pg_catalog.jsonb_to_recordset(d->'taken') AS t(id uuid, saga uuid)
      JOIN moved m ON m.saga_id = t.saga
     WHERE g.signal_id = t.id
),
children AS (
    INSERT INTO pgcharter.saga_instances (
        saga_id, tenant, saga_type, definition_version, saga_data, parent_id, parent_step, correlation, next_at, deadline)
    SELECT k.id, m.tenant, k.type, k.version, k.data, m.saga_id, k.step, k.correlation, pg_catalog.clock_timestamp(),
           pg_catalog.clock_timestamp() + k.within * interval '1 s'
      FROM doc, pg_catalog.jsonb_to_recordset(d->'children') AS k(
           guard uuid, id uuid, type text, version integer, data jsonb, step integer, correlation text, within float8)
      JOIN moved m ON m.saga_id = k.guard
        ON CONFLICT (saga_id) DO NOTHING
),
told AS (
    INSERT INTO pgcharter.saga_signals (signal_id, saga_id, tenant, kind, name, payload, reason)
    SELECT t.id, t.saga, m.tenant, t.kind, t.name, t.payload, t.reason
      FROM doc, pg_catalog.jsonb_to_recordset(d->'told') AS t(id uuid, guard uuid, saga uuid, kind text, name text, payload jsonb, reason text)
      JOIN moved m ON m.saga_id = t.guard
        ON CONFLICT (signal_id) DO NOTHING
)

-- In a transaction the saga's row is locked until COMMIT, which comes next: the server ends the session of a worker that was stopped
-- just here, or nobody could go on with the saga.
-- name: answer
SELECT saga_id::text, signals, pg_catalog.set_config('idle_in_transaction_session_timeout', %(idle)s, true) FROM moved

-- name: claim
SELECT c FROM pgcharter.saga_claim(%(owner)s, %(lease)s::interval, %(types)s::text[], %(versions)s::integer[], %(most)s, %(busy)s::uuid[]) c

-- Leases go on; what is missing in the answer is lost.
-- name: beat
UPDATE pgcharter.saga_instances i
   SET lease_until = pg_catalog.clock_timestamp() + %(lease)s::interval, next_at = pg_catalog.clock_timestamp() + %(lease)s::interval
  FROM unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) h(id, token)
 WHERE i.saga_id = h.id AND i.fencing_token = h.token AND i.lease_owner = %(owner)s
RETURNING i.saga_id::text

-- Sagas that nobody takes, though they are due, say what they wait for.
-- name: orphaned
UPDATE pgcharter.saga_instances i
   SET waiting = 'definition ' || i.saga_type || ' v' || i.definition_version
 WHERE i.saga_id IN (
       SELECT o.saga_id FROM pgcharter.saga_instances o
        WHERE o.next_at < pg_catalog.clock_timestamp() - %(grace)s::interval
          AND NOT EXISTS (SELECT FROM unnest(%(types)s::text[], %(versions)s::integer[]) d(type, version)
                           WHERE d.type = o.saga_type AND d.version = o.definition_version)
          AND o.waiting IS DISTINCT FROM 'definition ' || o.saga_type || ' v' || o.definition_version
        LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING i.saga_type, i.definition_version

-- name: start
SELECT id, made, state FROM pgcharter.saga_start(%s, %s, %s, %s::jsonb, %s, %s, %s::interval, %s::interval)

-- name: signal
SELECT pgcharter.saga_signal(%s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)

-- As the owner or a worker, who see all tenants.
-- name: ask
INSERT INTO pgcharter.saga_signals (saga_id, tenant, kind, name, actor, reason)
SELECT saga_id, tenant, %s, %s, %s, %s FROM pgcharter.saga_instances WHERE saga_id = %s
RETURNING saga_id

-- name: list
SELECT saga_id, tenant, saga_type, definition_version, business_key, status, current_step, waiting, stuck_at, next_at, deadline, lease_owner,
       lease_until, error, parent_id, correlation, round, created_at, updated_at, completed_at, saga_data::text, result::text,
       (SELECT s.step_type FROM pgcharter.saga_steps s WHERE s.saga_id = i.saga_id AND s.step_number = i.current_step),
       completed_at IS NULL AND lease_owner IS NULL AND next_at < pg_catalog.clock_timestamp() - interval '1 min'
  FROM pgcharter.saga_instances i
 WHERE (%(id)s::uuid IS NULL OR saga_id = %(id)s::uuid)
   AND (%(type)s::text IS NULL OR saga_type = %(type)s)
   AND (%(key)s::text IS NULL OR business_key = %(key)s)
   AND (%(status)s::text IS NULL OR status = %(status)s)
   AND (NOT %(stuck)s OR stuck_at IS NOT NULL OR waiting LIKE 'definition %%'
        OR (completed_at IS NULL AND lease_owner IS NULL AND next_at < pg_catalog.clock_timestamp() - interval '1 min'))
 ORDER BY created_at DESC, saga_id LIMIT %(limit)s

-- name: steps
SELECT step_number, step_type, kind, status, started_at, completed_at, compensated_at, error_message, retry_count, compensation_count,
       uncertain, next_at, result::text
  FROM pgcharter.saga_steps WHERE saga_id = %s ORDER BY step_number

-- name: history
SELECT happened_at, step_number, event, attempt, message, actor, worker FROM pgcharter.saga_history WHERE saga_id = %s ORDER BY happened_at

-- name: untaken
SELECT signal_id::text, kind, name, payload, actor, reason FROM pgcharter.saga_signals
 WHERE saga_id = %(id)s::uuid AND taken_at IS NULL ORDER BY sent_at, signal_id

-- name: letters
SELECT kind, name, payload::text, actor, reason, sent_at, taken_at FROM pgcharter.saga_signals WHERE saga_id = %s ORDER BY sent_at

-- name: purge
DELETE FROM pgcharter.saga_instances
 WHERE saga_id IN (SELECT saga_id FROM pgcharter.saga_instances
                    WHERE completed_at < pg_catalog.clock_timestamp() - %s::interval AND parent_id IS NULL
                    ORDER BY completed_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING true
