-- Cursors over logs. What is in braces is of a log and a consumer: {table}, {key}, {columns}, {where}, {slot}, {was}.

-- What is settled, and whether anything parked is due; rows are read in a later statement.
-- name: poll
SELECT pgcharter.settled(%(log)s), EXISTS (
       SELECT FROM pgcharter.parked p
        WHERE p.consumer = %(consumer)s AND p.state = 'waiting' AND p.due_at <= pg_catalog.statement_timestamp())

-- Position drawn last; NULL: this role may not see it.
-- name: drawn
SELECT CASE WHEN pg_catalog.has_sequence_privilege(s, 'SELECT') THEN COALESCE(pg_catalog.pg_sequence_last_value(s), 0) END
  FROM pg_catalog.to_regclass('pgcharter.' || %(log)s || '_position') s

-- The first column is there even where no row is. Both are of one snapshot: what is archived between two statements would be missed.
-- name: fetch
SELECT k.kept, f.*
  FROM (SELECT COALESCE((SELECT o.kept_from FROM pgcharter.logs o WHERE o.log = %(log)s), 0)) k (kept)
  LEFT JOIN (
       SELECT l.position, {key}, {key} IN (SELECT p.key FROM pgcharter.parked p WHERE p.consumer = %(consumer)s AND p.state <> 'behind'),
              {columns}
         FROM {table} l
        WHERE l.position > %(after)s AND l.position <= %(upto)s{slot}{was}{where}
        ORDER BY l.position LIMIT %(batch)s) f ON true

-- name: begun
INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position)
SELECT %(consumer)s, s, %(slots)s, %(log)s, %(position)s FROM pg_catalog.generate_series(0, %(slots)s - 1) s
 WHERE NOT EXISTS (SELECT FROM pgcharter.feeds f WHERE f.consumer = %(consumer)s)
ON CONFLICT DO NOTHING

-- name: known
SELECT f.log, f.slots FROM pgcharter.feeds f WHERE f.consumer = %(consumer)s LIMIT 1

-- name: kept
SELECT COALESCE((SELECT o.kept_from FROM pgcharter.logs o WHERE o.log = %(log)s), 0)

-- name: at_time
SELECT (SELECT min(l.position) - 1 FROM {table} l WHERE {time} >= %(time)s)

-- Free: nobody's, or of one who has said nothing for too long; by a clock that was set back too.
-- name: claim
UPDATE pgcharter.feeds f
   SET token = f.token + 1, owner = %(owner)s, leased_at = pg_catalog.clock_timestamp(),
       lease_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 s', asked_by = NULL, asked_until = NULL
 WHERE f.consumer = %(consumer)s AND f.slot IN (
       SELECT g.slot FROM pgcharter.feeds g
        WHERE g.consumer = %(consumer)s AND g.state = 'running' AND g.slot <> ALL (%(held)s::int[])
          AND (g.owner IS NULL OR g.owner = %(owner)s OR g.lease_until <= pg_catalog.clock_timestamp()
               OR g.leased_at > pg_catalog.clock_timestamp() + interval '5 s')
          AND (g.asked_by IS NULL OR g.asked_by = %(owner)s OR g.asked_until <= pg_catalog.clock_timestamp())
        FOR UPDATE SKIP LOCKED)
RETURNING f.slot, f.slots, f.position, f.token, f.ctid::text, f.was_slots, f.was

-- A worker asks the one that has most for half of what that has more; the slots are kept for it when they are let go.
-- name: ask
WITH live AS (
     SELECT g.owner, count(*) FILTER (WHERE g.asked_by IS NULL OR g.asked_until <= pg_catalog.clock_timestamp()) n
       FROM pgcharter.feeds g
      WHERE g.consumer = %(consumer)s AND g.state = 'running' AND g.lease_until > pg_catalog.clock_timestamp() AND g.owner <> %(owner)s
      GROUP BY g.owner),
     rich AS (SELECT v.owner, v.n FROM live v ORDER BY v.n DESC, v.owner LIMIT 1),
     mine AS (
     SELECT count(*) n FROM pgcharter.feeds g
      WHERE g.consumer = %(consumer)s AND (g.owner = %(owner)s OR g.asked_by = %(owner)s AND g.asked_until > pg_catalog.clock_timestamp()))
UPDATE pgcharter.feeds f SET asked_by = %(owner)s, asked_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 s'
 WHERE f.consumer = %(consumer)s AND f.slot IN (
       SELECT g.slot FROM pgcharter.feeds g, rich
        WHERE g.consumer = %(consumer)s AND g.owner = rich.owner
          AND (g.asked_by IS NULL OR g.asked_until <= pg_catalog.clock_timestamp())
        ORDER BY g.slot DESC LIMIT (SELECT greatest((r.n - m.n) / 2, 0) FROM rich r, mine m) FOR UPDATE OF g SKIP LOCKED)

-- name: renew
UPDATE pgcharter.feeds f
   SET leased_at = pg_catalog.clock_timestamp(), lease_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 s'
 WHERE f.consumer = %(consumer)s AND f.owner = %(owner)s
RETURNING f.slot, f.token, f.ctid::text, f.asked_by IS NOT NULL AND f.asked_until > pg_catalog.clock_timestamp()

-- name: release
UPDATE pgcharter.feeds f SET owner = NULL, leased_at = NULL, lease_until = NULL
 WHERE f.consumer = %(consumer)s AND f.owner = %(owner)s AND f.slot = ANY (%(released)s::int[])

-- By the address of the row where that is known: under a snapshot that somebody holds, an index would lead through all its old versions.
-- name: move
UPDATE pgcharter.feeds f
   SET position = %(upto)s, moved_at = pg_catalog.clock_timestamp(), leased_at = pg_catalog.clock_timestamp(),
       lease_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 s',
       was_slots = CASE WHEN %(past)s THEN NULL ELSE f.was_slots END, was = CASE WHEN %(past)s THEN NULL ELSE f.was END
 WHERE {at}f.consumer = %(consumer)s AND f.slot = %(slot)s AND f.token = %(token)s
RETURNING f.ctid::text

-- name: move_and_park
WITH moved AS (
     UPDATE pgcharter.feeds f
        SET position = %(upto)s, moved_at = pg_catalog.clock_timestamp(), leased_at = pg_catalog.clock_timestamp(),
            lease_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 s',
            was_slots = CASE WHEN %(past)s THEN NULL ELSE f.was_slots END, was = CASE WHEN %(past)s THEN NULL ELSE f.was END
      WHERE {at}f.consumer = %(consumer)s AND f.slot = %(slot)s AND f.token = %(token)s
     RETURNING f.ctid::text AS at),
     parked AS (
     INSERT INTO pgcharter.parked (consumer, key, position, state, attempts, due_at, failed_at, error, message)
     SELECT %(consumer)s, p.key, p.position, p.state, p.attempts,
            CASE WHEN p.state = 'waiting' THEN pg_catalog.clock_timestamp() + p.pause * interval '1 s' END,
            CASE WHEN p.state <> 'behind' THEN pg_catalog.clock_timestamp() END, p.error, pg_catalog.to_jsonb(l)
       FROM moved, ROWS FROM (
            unnest(%(keys)s::text[]), unnest(%(positions)s::bigint[]), unnest(%(states)s::text[]), unnest(%(attempts)s::int[]),
            unnest(%(pauses)s::float8[]), unnest(%(errors)s::text[])) p (key, position, state, attempts, pause, error)
       JOIN {table} l ON l.position = p.position)
SELECT moved.at FROM moved

-- name: due
SELECT p.key, (pg_catalog.hashtextextended(p.key, 0) & 9223372036854775807) %% %(slots)s
  FROM pgcharter.parked p
 WHERE p.consumer = %(consumer)s AND p.state = 'waiting' AND p.due_at <= pg_catalog.statement_timestamp()
   AND (pg_catalog.hashtextextended(p.key, 0) & 9223372036854775807) %% %(slots)s = ANY (%(held)s::int[])
 ORDER BY p.due_at LIMIT %(batch)s

-- name: parked
SELECT p.position, p.attempts, COALESCE(extract(epoch FROM pg_catalog.clock_timestamp() - p.failed_at), 0)::float8, {columns}
  FROM (SELECT * FROM pgcharter.parked q WHERE q.consumer = %(consumer)s AND q.key = %(key)s ORDER BY q.position LIMIT %(batch)s) p,
       LATERAL pg_catalog.jsonb_populate_record(NULL::{table}, p.message) l
 ORDER BY p.position

-- What is done goes; the next one of the key is the one that others wait behind.
-- name: retried
WITH moved AS (
     UPDATE pgcharter.feeds f
        SET leased_at = pg_catalog.clock_timestamp(), lease_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 s'
      WHERE {at}f.consumer = %(consumer)s AND f.slot = %(slot)s AND f.token = %(token)s
     RETURNING f.ctid::text AS at),
     done AS (
     DELETE FROM pgcharter.parked p USING moved WHERE p.consumer = %(consumer)s AND p.key = %(key)s AND p.position <= %(done)s),
     head AS (
     UPDATE pgcharter.parked p
        SET state = %(state)s, attempts = %(attempts)s, error = %(error)s,
            due_at = CASE WHEN %(state)s = 'waiting' THEN pg_catalog.clock_timestamp() + %(pause)s * interval '1 s' END,
            failed_at = CASE WHEN %(error)s::text IS NOT NULL THEN COALESCE(p.failed_at, pg_catalog.clock_timestamp()) END
       FROM moved
      WHERE p.consumer = %(consumer)s AND p.key = %(key)s
        AND p.position = (SELECT min(q.position) FROM pgcharter.parked q
                           WHERE q.consumer = %(consumer)s AND q.key = %(key)s AND q.position > %(done)s))
SELECT moved.at FROM moved

-- name: stale
UPDATE pgcharter.feeds f SET state = 'stale', error = %(error)s, token = f.token + 1, owner = NULL, leased_at = NULL, lease_until = NULL
 WHERE f.consumer = %(consumer)s AND f.slot = %(slot)s AND f.token = %(token)s
