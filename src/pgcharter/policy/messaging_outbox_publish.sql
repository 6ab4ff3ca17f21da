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
    size int8;
    of_topic text;
BEGIN
    IF current_setting('pgcharter.outbox_in', true) IS DISTINCT FROM here THEN
        low := coalesce(pg_sequence_last_value('pgcharter.outbox_position'::regclass), 0);
        PERFORM pg_advisory_xact_lock_shared(1885824358, ((low << 32) >> 32)::int4);
        PERFORM set_config('pgcharter.outbox_in', here, true);
    END IF;
    into_part := coalesce(pg_sequence_last_value('pgcharter.outbox_turn'::regclass), 0);
    WITH put AS (
    INSERT INTO pgcharter.outbox AS o (position, part, message_id, topic, key, payload, data, headers, tenant, actor, correlation, created_at,
                                       due_at, expires_at)
    SELECT nextval('pgcharter.outbox_position'::regclass), into_part, coalesce(m.id, gen_random_uuid()), m.topic, m.key,
           m.payload::json::text, m.data, m.headers::jsonb,
           coalesce(current_setting('pgcharter.tenant', true), ''), nullif(current_setting('pgcharter.actor', true), ''),
           nullif(current_setting('pgcharter.correlation', true), ''), now_at,
           now_at + m.delay * interval '1 s', now_at + m.life * interval '1 s'
      FROM unnest(topics, keys, payloads, datas, headers, ids, delays, lives) m (topic, key, payload, data, headers, id, delay, life)
    RETURNING o.position,
              octet_length(o.topic)::int8 + coalesce(octet_length(o.payload), octet_length(o.data)) + coalesce(pg_column_size(o.headers), 0)
              + octet_length(o.tenant) + coalesce(octet_length(o.actor), 0) + coalesce(octet_length(o.correlation), 0) AS size)
    SELECT max(p.position), max(p.size) INTO last, size FROM put p;
    IF size > {message_bytes} THEN
        SELECT left(m.topic, 200) INTO of_topic FROM unnest(topics, payloads, datas) m (topic, payload, data)
         ORDER BY coalesce(octet_length(m.payload), octet_length(m.data)) DESC LIMIT 1;
        RAISE EXCEPTION 'a message of topic % has % bytes, and may have {message_bytes}, so nothing was published', of_topic, size
            USING ERRCODE = 'program_limit_exceeded',
                  HINT = 'keep what is large in a table or a store of its own and publish where it is; or message_bytes in [messaging] of pgcharter.toml';
    END IF;
    RETURN last;
END
$function$
