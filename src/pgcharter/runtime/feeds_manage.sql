-- What a person does with consumers. Whatever changes a cursor or what is parked takes the leases away first: a worker that was in the
-- middle of something can write nothing of it down, and begins anew from what it finds.

-- name: fence
UPDATE pgcharter.feeds f SET token = f.token + 1, owner = NULL, leased_at = NULL, lease_until = NULL
 WHERE f.consumer = %(consumer)s
RETURNING f.slot, f.slots, f.position, f.token, f.was_slots, f.was, f.log

-- name: fence_key
UPDATE pgcharter.feeds f SET token = f.token + 1, owner = NULL, leased_at = NULL, lease_until = NULL
 WHERE f.consumer = %(consumer)s AND f.slot = (pg_catalog.hashtextextended(%(key)s, 0) & 9223372036854775807) %% f.slots
RETURNING f.slot

-- name: pause
UPDATE pgcharter.feeds SET state = 'paused' WHERE consumer = %(consumer)s AND state = 'running'

-- name: resume
UPDATE pgcharter.feeds SET state = 'running' WHERE consumer = %(consumer)s AND state = 'paused' RETURNING slot

-- name: reset
UPDATE pgcharter.feeds
   SET position = %(position)s, was = NULL, was_slots = NULL, error = NULL, state = CASE state WHEN 'stale' THEN 'running' ELSE state END,
       moved_at = pg_catalog.clock_timestamp()
 WHERE consumer = %(consumer)s

-- name: unpark_after
DELETE FROM pgcharter.parked WHERE consumer = %(consumer)s AND position > %(position)s

-- Whose first ones are gone now wait behind nobody; whose last ones are gone are as they were.
-- name: heads
UPDATE pgcharter.parked p SET state = 'waiting', attempts = 0, due_at = pg_catalog.clock_timestamp(), error = NULL, failed_at = NULL
 WHERE p.consumer = %(consumer)s AND p.state = 'behind' AND p.key = ANY (%(keys)s)
   AND p.position = (SELECT min(q.position) FROM pgcharter.parked q WHERE q.consumer = p.consumer AND q.key = p.key)

-- name: unslot
DELETE FROM pgcharter.feeds WHERE consumer = %(consumer)s RETURNING state

-- name: slot_anew
INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position, state, token, was_slots, was)
SELECT %(consumer)s, s, %(slots)s, %(log)s, %(position)s, %(state)s, %(token)s, %(was_slots)s, %(was)s
  FROM pg_catalog.generate_series(0, %(slots)s - 1) s

-- name: requeue
UPDATE pgcharter.parked SET state = 'waiting', attempts = 0, due_at = pg_catalog.clock_timestamp(), failed_at = NULL
 WHERE consumer = %(consumer)s AND state <> 'behind' AND key = ANY (%(keys)s)
RETURNING key

-- name: dead_keys
SELECT key FROM pgcharter.parked WHERE consumer = %(consumer)s AND state = 'dead' ORDER BY key

-- name: skip
DELETE FROM pgcharter.parked WHERE consumer = %(consumer)s AND key = %(key)s AND (%(position)s::bigint IS NULL OR position = %(position)s)
RETURNING position

-- Whoever would claim a slot of it waits, and finds none.
-- name: to_forget
SELECT f.log, f.position, f.owner,
       COALESCE(CASE WHEN f.owner IS NOT NULL THEN extract(epoch FROM f.lease_until - pg_catalog.clock_timestamp()) END, 0)::float8
  FROM pgcharter.feeds f WHERE f.consumer = %(consumer)s AND (%(log)s = '' OR f.log = %(log)s) ORDER BY f.slot FOR UPDATE

-- name: forget_cursors
DELETE FROM pgcharter.feeds WHERE consumer = %(consumer)s RETURNING slot

-- name: forget_parked
DELETE FROM pgcharter.parked WHERE consumer = %(consumer)s RETURNING position

-- name: forget_inbox
DELETE FROM pgcharter.inbox WHERE consumer = %(consumer)s RETURNING true

-- name: forget_model
DELETE FROM pgcharter.projections WHERE 'projection ' || name = %(consumer)s RETURNING name

-- name: parked
SELECT key, position, state, attempts, due_at, parked_at, failed_at, error, message
  FROM pgcharter.parked WHERE consumer = %(consumer)s AND (%(state)s = '' OR state = %(state)s) ORDER BY position LIMIT %(limit)s

-- name: status
SELECT f.consumer, f.slot, f.slots, f.position, f.state, f.owner, f.lease_until, f.moved_at, f.error, s.settled,
       COALESCE((SELECT extract(epoch FROM pg_catalog.clock_timestamp() - {time}) FROM {table} l
                  WHERE l.position > f.position AND l.position <= s.settled ORDER BY l.position LIMIT 1), 0)::float8,
       (SELECT count(*) FROM (
               SELECT FROM {table} l WHERE l.position > f.position AND l.position <= s.settled
                  AND (pg_catalog.hashtextextended({key}, 0) & 9223372036854775807) %% f.slots = f.slot LIMIT %(most)s) r),
       (SELECT count(*) FROM pgcharter.parked p
         WHERE p.consumer = f.consumer AND (pg_catalog.hashtextextended(p.key, 0) & 9223372036854775807) %% f.slots = f.slot),
       (SELECT count(*) FROM pgcharter.parked p
         WHERE p.consumer = f.consumer AND p.state = 'dead'
           AND (pg_catalog.hashtextextended(p.key, 0) & 9223372036854775807) %% f.slots = f.slot)
  FROM (SELECT pgcharter.settled(%(log)s) AS settled) s, pgcharter.feeds f
 WHERE f.log = %(log)s AND (%(consumer)s = '' OR f.consumer = %(consumer)s)
 ORDER BY f.consumer, f.slot
