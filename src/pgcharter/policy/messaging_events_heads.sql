CREATE OR REPLACE FUNCTION pgcharter.event_heads_moved(
    whose text, aggregate_types text[], aggregate_ids {id}[], expected integer[], counts integer[])
 RETURNS integer[]
 LANGUAGE plpgsql
AS $function$
-- Moves heads on, in the order of their keys so that two appends cannot deadlock; new versions, NULL where another one was expected.
DECLARE
    numbers integer[] := '{1}';
    moved integer[];
    i integer;
    now_at integer;
BEGIN
    IF cardinality(aggregate_ids) > 1 THEN
        SELECT array_agg(s ORDER BY aggregate_ids[s], aggregate_types[s] COLLATE "C", s)
          INTO numbers FROM generate_subscripts(aggregate_ids, 1) s;
    END IF;
    FOREACH i IN ARRAY numbers LOOP
        IF expected[i] NOT IN (0, -1) THEN
            UPDATE pgcharter.event_heads h SET version = h.version + counts[i]
             WHERE h.aggregate_id = aggregate_ids[i] AND h.aggregate_type = aggregate_types[i] AND h.tenant = whose
               AND (expected[i] = -2 OR h.version = expected[i])
            RETURNING h.version INTO now_at;
        ELSE
            INSERT INTO pgcharter.event_heads AS h (tenant, aggregate_type, aggregate_id, version)
            VALUES (whose, aggregate_types[i], aggregate_ids[i], counts[i])
                ON CONFLICT ON CONSTRAINT event_heads_pkey
                DO UPDATE SET version = h.version + excluded.version WHERE expected[i] IS DISTINCT FROM 0
            RETURNING h.version INTO now_at;
        END IF;
        moved[i] := now_at;
    END LOOP;
    RETURN moved;
END
$function$
