CREATE OR REPLACE FUNCTION pgcharter.outbox_publish(topics text[], keys text[], payloads text[], datas bytea[], headers text[], ids uuid[], delays double precision[], lives double precision[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    now_at timestamptz := clock_timestamp();
    here text := pg_current_xact_id()::text;
    low int8;
    into_part int2;
    last int8;
    large record;
BEGIN
    -- All of them together, which costs nothing; each by itself where that is much.
    IF coalesce(pg_column_size(topics), 0)::int8 + coalesce(pg_column_size(payloads), 0) + coalesce(pg_column_size(datas), 0)
       + coalesce(pg_column_size(headers), 0) > {message_bytes} THEN
        SELECT left(m.topic, 200) AS topic,
               octet_length(m.topic)::int8 + coalesce(octet_length(m.payload), octet_length(m.data), 0) + coalesce(octet_length(m.headers), 0) AS size
          INTO large FROM unnest(topics, payloads, datas, headers) m (topic, payload, data, headers) ORDER BY 2 DESC LIMIT 1;
        IF large.size > {message_bytes} THEN
            RAISE EXCEPTION 'a message of topic % has % bytes, and may have {message_bytes}, so nothing was published', large.topic, large.size
                USING ERRCODE = 'program_limit_exceeded',
                      HINT = 'keep what is large in a table or a store of its own and publish where it is; or message_bytes in [messaging] of pgcharter.toml';
        END IF;
    END IF;
    IF current_setting('pgcharter.outbox_in', true) IS DISTINCT FROM here THEN
        low := coalesce(pg_sequence_last_value('pgcharter.outbox_position'::regclass), 0);
        PERFORM pg_advisory_xact_lock_shared(1885824358, ((low << 32) >> 32)::int4);
        PERFORM set_config('pgcharter.outbox_in', here, true);
    END IF;
    into_part := coalesce(pg_sequence_last_value('pgcharter.outbox_turn'::regclass), 0);
    WITH put AS (
    INSERT INTO pgcharter.outbox (position, part, message_id, topic, key, payload, data, headers, tenant, actor, correlation, created_at,
                                       due_at, expires_at)
    SELECT nextval('pgcharter.outbox_position'::regclass), into_part, coalesce(m.id, gen_random_uuid()), m.topic, m.key,
           m.payload::json::text, m.data, m.headers::jsonb,
           coalesce(current_setting('pgcharter.tenant', true), ''), nullif(current_setting('pgcharter.actor', true), ''),
           nullif(current_setting('pgcharter.correlation', true), ''), now_at,
           now_at + m.delay * interval '1 s', now_at + m.life * interval '1 s'
      FROM unnest(topics, keys, payloads, datas, headers, ids, delays, lives) m (topic, key, payload, data, headers, id, delay, life)
    RETURNING position)
    SELECT max(position) INTO last FROM put;
    RETURN last;
END
$function$
