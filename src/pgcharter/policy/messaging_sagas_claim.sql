CREATE OR REPLACE FUNCTION pgcharter.saga_claim(owner text, lease interval, types text[], versions integer[], most integer, busy uuid[])
 RETURNS SETOF jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    taken uuid[];
    until timestamptz := clock_timestamp();
BEGIN
    -- 1. Wake sagas that have been told something. What is locked is looked at again the next time.
    WITH fresh AS (
        SELECT s.signal_id, s.saga_id FROM pgcharter.saga_signals s WHERE NOT s.seen ORDER BY s.sent_at LIMIT 500 FOR UPDATE SKIP LOCKED
    ), home AS (
        SELECT i.saga_id FROM pgcharter.saga_instances i WHERE i.saga_id IN (SELECT f.saga_id FROM fresh f) FOR NO KEY UPDATE SKIP LOCKED
    ), woken AS (
        UPDATE pgcharter.saga_instances i
           SET signals = i.signals + 1, next_at = CASE WHEN i.lease_owner IS NULL THEN until ELSE i.next_at END
          FROM home h WHERE i.saga_id = h.saga_id
        RETURNING i.saga_id
    )
    UPDATE pgcharter.saga_signals s SET seen = true
      FROM fresh f JOIN woken w ON w.saga_id = f.saga_id WHERE s.signal_id = f.signal_id;
    -- 2. Lock what is due, and lease it.
    SELECT array_agg(x.saga_id) INTO taken
      FROM (SELECT c.saga_id
              FROM unnest(types, versions) d(type, version)
             CROSS JOIN LATERAL (
                   SELECT i.saga_id
                     FROM pgcharter.saga_instances i
                    WHERE i.saga_type = d.type AND i.definition_version = d.version AND i.next_at <= until AND i.saga_id <> ALL (busy)
                    ORDER BY i.next_at LIMIT most
                      FOR NO KEY UPDATE SKIP LOCKED) c
             LIMIT most) x;
    IF taken IS NULL THEN
        RETURN;
    END IF;
    until := clock_timestamp() + lease;
    UPDATE pgcharter.saga_instances i
       SET lease_owner = owner, lease_until = until, next_at = until, fencing_token = i.fencing_token + 1
     WHERE i.saga_id = ANY (taken);
    -- 3. Read them in a statement that comes after the locks: what the one before has written is seen whole.
    RETURN QUERY
        SELECT to_jsonb(i) || jsonb_build_object(
                   'deadline_in', extract(epoch FROM i.deadline - clock_timestamp()),
                   'steps', (SELECT coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('due_in', extract(epoch FROM s.next_at - clock_timestamp()))), '[]')
                               FROM pgcharter.saga_steps s WHERE s.saga_id = i.saga_id),
                   'letters', (SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY l.sent_at, l.signal_id), '[]')
                                 FROM pgcharter.saga_signals l WHERE l.saga_id = i.saga_id AND l.taken_at IS NULL))
          FROM pgcharter.saga_instances i WHERE i.saga_id = ANY (taken) ORDER BY i.created_at, i.saga_id;
END
$function$
