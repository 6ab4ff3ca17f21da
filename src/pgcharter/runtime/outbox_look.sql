-- What is in the outbox, for people.

-- name: parts
SELECT p.part, pg_catalog.pg_total_relation_size(p.oid), p.part = COALESCE(pg_catalog.pg_sequence_last_value('pgcharter.outbox_turn'::regclass), 0),
       (SELECT min(o.position) FROM pgcharter.outbox o WHERE o.part = p.part),
       (SELECT max(o.position) FROM pgcharter.outbox o WHERE o.part = p.part)
  FROM (SELECT c.oid, pg_catalog.substring(c.relname, '[0-9]+$')::int AS part
          FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'pgcharter.outbox'::regclass) p
 ORDER BY p.part

-- name: progress
SELECT COALESCE(pg_catalog.pg_sequence_last_value('pgcharter.outbox_position'::regclass), 0), pgcharter.settled('outbox'),
       pg_catalog.clock_timestamp()

-- name: cursors
SELECT f.consumer, min(f.position) FROM pgcharter.feeds f WHERE f.log = 'outbox' GROUP BY f.consumer

-- name: in_ring
SELECT pg_catalog.to_jsonb(o) FROM pgcharter.outbox o
 WHERE o.position = %(position)s::bigint OR o.message_id = %(id)s::uuid ORDER BY o.position LIMIT 10

-- name: in_parked
SELECT p.consumer, p.key, p.state, p.attempts, p.due_at, p.failed_at, p.error, p.message
  FROM pgcharter.parked p
 WHERE p.consumer IN (SELECT f.consumer FROM pgcharter.feeds f WHERE f.log = 'outbox')
   AND (p.position = %(position)s::bigint OR p.message ->> 'message_id' = %(id)s::text)
 ORDER BY p.consumer, p.position

-- name: declare
INSERT INTO pgcharter.outbox_routes AS r (route, topics)
SELECT d.key, ARRAY(SELECT pg_catalog.jsonb_array_elements_text(d.value)) FROM pg_catalog.jsonb_each(%(routes)s::jsonb) d ORDER BY d.key
ON CONFLICT (route) DO UPDATE SET topics = excluded.topics, declared_at = pg_catalog.clock_timestamp() WHERE r.topics <> excluded.topics

-- Topics of settled messages that no route with a cursor wants. A consumer that has not said what it wants may want all.
-- name: unrouted
SELECT t.topic, t.messages, t.first, t.seconds
  FROM (SELECT o.topic, count(*) AS messages, min(o.position) AS first,
               extract(epoch FROM pg_catalog.clock_timestamp() - min(o.created_at))::float8 AS seconds
          FROM (SELECT p.topic, p.position, p.created_at FROM pgcharter.outbox p
                 WHERE p.position > %(after)s AND p.position <= %(settled)s ORDER BY p.position DESC LIMIT %(most)s) o
         GROUP BY o.topic) t
 WHERE t.topic NOT LIKE ALL (
       SELECT pg_catalog.replace(pg_catalog.regexp_replace(w, '([\\%%_])', '\\\1', 'g'), '*', '%%')
         FROM pgcharter.feeds f LEFT JOIN pgcharter.outbox_routes r ON r.route = f.consumer
        CROSS JOIN LATERAL unnest(COALESCE(r.topics, ARRAY['*'])) w
        WHERE f.log = 'outbox')
 ORDER BY t.first

-- name: consumers
SELECT DISTINCT f.consumer FROM pgcharter.feeds f WHERE f.log = 'outbox' ORDER BY 1
