-- Read models. {log} is the log's table with alias l, {columns} what a message is made of, {key} what keeps messages in order.

-- name: live
SELECT version FROM pgcharter.projections WHERE name = %s

-- Whoever writes live tables holds it, from before he touches a row; whoever replaces what is in them holds it alone.
-- name: hold
SELECT pg_catalog.pg_advisory_xact_lock_shared(1885824359, pg_catalog.hashtext(%s))

-- name: hold_alone
SELECT pg_catalog.pg_advisory_xact_lock(1885824359, pg_catalog.hashtext(%s))

-- name: register
INSERT INTO pgcharter.projections (name, version, mode, live_at) VALUES (%s, %s, %s, pg_catalog.clock_timestamp())
ON CONFLICT (name) DO UPDATE SET version = COALESCE(projections.version, EXCLUDED.version)
RETURNING version

-- name: begin
INSERT INTO pgcharter.projections AS p (name, mode, building, position, token, building_since)
VALUES (%(name)s, %(mode)s, %(version)s, 0, 1, pg_catalog.clock_timestamp())
ON CONFLICT (name) DO UPDATE
   SET mode = EXCLUDED.mode, token = p.token + 1, building = EXCLUDED.building,
       position = CASE WHEN %(anew)s THEN EXCLUDED.position ELSE p.position END,
       building_since = CASE WHEN %(anew)s THEN EXCLUDED.building_since ELSE p.building_since END
RETURNING token, position

-- name: under_way
SELECT building, position FROM pgcharter.projections WHERE name = %s FOR UPDATE

-- name: reached
UPDATE pgcharter.projections SET position = %s WHERE name = %s AND token = %s RETURNING true

-- name: kept
SELECT kept_from FROM pgcharter.logs WHERE log = %s

-- name: archived
SELECT h.archived FROM pgcharter.event_heads h
 WHERE h.aggregate_type = %(aggregate_type)s AND h.aggregate_id = %(aggregate_id)s AND h.archived > 0

-- name: events
SELECT l.position, {columns} FROM {log} l WHERE l.position > %(after)s AND l.position <= %(upto)s{where} ORDER BY l.position LIMIT %(limit)s

-- What a worker of several slots has done by now.
-- name: done
SELECT l.position, {columns} FROM {log} l
 WHERE l.position > %(after)s AND l.position <= %(upto)s{where}
   AND l.position <= (%(slots)s::bigint[])[1 + ((pg_catalog.hashtextextended({key}, 0) & 9223372036854775807) %% %(count)s)::integer]
   AND l.position <> ALL (%(parked)s::bigint[])
 ORDER BY l.position LIMIT %(limit)s

-- name: cursors
SELECT array_agg(position ORDER BY slot), count(*)::integer, bool_or(was IS NOT NULL), max(log)
  FROM pgcharter.feeds WHERE consumer = %s

-- name: lock_cursors
SELECT slot FROM pgcharter.feeds WHERE consumer = %s ORDER BY slot FOR UPDATE

-- name: slot
SELECT (pg_catalog.hashtextextended(%s, 0) & 9223372036854775807) %% %s

-- name: parked
SELECT COALESCE(array_agg(position), '{}') FROM pgcharter.parked WHERE consumer = %s

-- name: take_cursor
UPDATE pgcharter.feeds
   SET position = %(position)s, token = token + 1, owner = NULL, leased_at = NULL, lease_until = NULL, was = NULL, was_slots = NULL, error = NULL,
       state = CASE state WHEN 'stale' THEN 'running' ELSE state END, moved_at = pg_catalog.clock_timestamp()
 WHERE consumer = %(consumer)s RETURNING slot

-- name: make_cursor
INSERT INTO pgcharter.feeds (consumer, slot, slots, log, position)
SELECT %(consumer)s, s, %(slots)s, 'events', %(position)s FROM pg_catalog.generate_series(0, %(slots)s - 1) s

-- name: forget_parked
DELETE FROM pgcharter.parked WHERE consumer = %s

-- name: gone_live
UPDATE pgcharter.projections
   SET version = building, building = NULL, position = NULL, building_since = NULL, live_at = pg_catalog.clock_timestamp()
 WHERE name = %s AND token = %s RETURNING version

-- name: given_up
UPDATE pgcharter.projections SET building = NULL, position = NULL, building_since = NULL, token = token + 1 WHERE name = %s

-- name: all
SELECT name, version, mode, live_at, building, position, building_since FROM pgcharter.projections ORDER BY name

-- name: columns
SELECT a.attname::text, a.attidentity <> '', a.attgenerated <> '',
       a.attnum = ANY (COALESCE((SELECT c.conkey FROM pg_catalog.pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'p'), '{}'))
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

-- name: oid
SELECT pg_catalog.to_regclass(%s)::oid::bigint
