-- Messages that a consumer has seen; a tenant's are its own, and come by the column's default.

-- No row: it was seen. Who is handling it in an open transaction is waited for, by the unique index.
-- name: once
INSERT INTO pgcharter.inbox (consumer, message_id) VALUES (%(consumer)s, %(id)s)
ON CONFLICT (consumer, message_id, tenant) DO NOTHING
RETURNING message_id

-- Inserted in one order, so that two who have some in common wait for each other one way only.
-- name: new
INSERT INTO pgcharter.inbox (consumer, message_id)
SELECT %(consumer)s, i FROM (SELECT DISTINCT u FROM pg_catalog.unnest(%(ids)s::text[]) u) d (i) ORDER BY i
ON CONFLICT (consumer, message_id, tenant) DO NOTHING
RETURNING message_id

-- name: purge
DELETE FROM pgcharter.inbox
 WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM pgcharter.inbox WHERE seen_at < pg_catalog.now() - %(seconds)s * interval '1 s'
        ORDER BY seen_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING true
