CREATE OR REPLACE FUNCTION pgcharter.append_events(
    aggregate_types text[], aggregate_ids {id}[], expected integer[], counts integer[], event_types text[], event_data jsonb[],
    metadata jsonb[] DEFAULT NULL, schema_versions integer[] DEFAULT NULL, event_ids uuid[] DEFAULT NULL, actors text[] DEFAULT NULL,
    correlations text[] DEFAULT NULL, causations text[] DEFAULT NULL, for_tenant text DEFAULT NULL, on_conflict text DEFAULT 'raise',
    OUT versions integer[], OUT last_position bigint, OUT written_at timestamp with time zone, OUT conflicts jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
-- The first `counts[1]` events are of aggregate 1, the next of aggregate 2, and so on. `expected` is the version that an aggregate must have:
-- 0 none yet, -1 or NULL any, -2 one at least. `on_conflict`: raise; report: append nothing, say why in `conflicts`; each: the others are
-- appended. Where the version is another, `versions` is NULL. Plans are generic: with the lengths of arrays at hand, each call would be
-- planned anew, for longer than it runs.
DECLARE
    n CONSTANT integer := cardinality(aggregate_ids);
    whose CONSTANT text := coalesce(for_tenant, current_setting('pgcharter.tenant', true), '');
    owners integer[];
    firsts integer[];
    kept_in date;
    seed text;
    said record;
    barrier text;
    who CONSTANT text := nullif(current_setting('pgcharter.actor', true), '');
    what CONSTANT text := nullif(current_setting('pgcharter.correlation', true), '');
BEGIN
    IF n = 0 OR (cardinality(aggregate_types), cardinality(expected), cardinality(counts), cardinality(event_data))
                IS DISTINCT FROM (n, n, n, cardinality(event_types)) THEN
        RAISE EXCEPTION 'the arrays given to append_events do not belong together, so nothing was appended'
            USING ERRCODE = 'array_subscript_error', HINT = 'a type, an id, an expected version and a number of events for each aggregate';
    END IF;
    IF for_tenant <> nullif(current_setting('pgcharter.tenant', true), '') THEN
        RAISE EXCEPTION 'a transaction of tenant % appends its own events, and none of tenant %', current_setting('pgcharter.tenant'), for_tenant
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF pg_column_size(event_data)::int8 + coalesce(pg_column_size(metadata), 0) > {message_bytes} THEN
        SELECT left(u.type, 200) AS type, pg_column_size(u.data)::int8 + coalesce(pg_column_size(u.notes), 0) AS size INTO said
          FROM unnest(event_types, event_data, metadata) u (type, data, notes) ORDER BY 2 DESC LIMIT 1;
        IF said.size > {message_bytes} THEN
            RAISE EXCEPTION 'an event of type % has % bytes, and may have {message_bytes}, so nothing was appended', said.type, said.size
                USING ERRCODE = 'program_limit_exceeded',
                      HINT = 'keep what is large in a table or a store of its own and say where it is; or message_bytes in [messaging] of pgcharter.toml';
        END IF;
    END IF;
    IF n = 1 THEN
        firsts := ARRAY[-counts[1]];
    ELSE
        FOR i IN 1..n LOOP
            owners := owners || array_fill(i, ARRAY[greatest(counts[i], 0)]);
            firsts[i] := coalesce(firsts[i - 1], 0) - counts[i];
        END LOOP;
    END IF;
    IF firsts[n] IS DISTINCT FROM -cardinality(event_types) OR 1 > ANY (counts) THEN
        RAISE EXCEPTION 'append_events was given % events, and numbers of events of aggregates that do not add up to them: %',
            cardinality(event_types), counts USING ERRCODE = 'array_subscript_error';
    END IF;
    IF n = 1 AND expected[1] NOT IN (0, -1) THEN -- as event_heads_moved does, which costs a quarter more
        UPDATE pgcharter.event_heads h SET version = h.version + counts[1]
         WHERE h.aggregate_id = aggregate_ids[1] AND h.aggregate_type = aggregate_types[1] AND h.tenant = whose
           AND (expected[1] = -2 OR h.version = expected[1])
        RETURNING ARRAY[h.version] INTO versions;
    ELSIF n = 1 THEN
        INSERT INTO pgcharter.event_heads AS h (tenant, aggregate_type, aggregate_id, version)
        VALUES (whose, aggregate_types[1], aggregate_ids[1], counts[1])
            ON CONFLICT ON CONSTRAINT event_heads_pkey
            DO UPDATE SET version = h.version + excluded.version WHERE expected[1] IS DISTINCT FROM 0
        RETURNING ARRAY[h.version] INTO versions;
    ELSIF on_conflict <> 'report' THEN
        versions := pgcharter.event_heads_moved(whose, aggregate_types, aggregate_ids, expected, counts);
    ELSE
        BEGIN
            versions := pgcharter.event_heads_moved(whose, aggregate_types, aggregate_ids, expected, counts);
            IF array_position(versions, NULL) > 0 THEN
                RAISE EXCEPTION 'taken back' USING ERRCODE = 'PC409';
            END IF;
        EXCEPTION WHEN SQLSTATE 'PC409' THEN
            NULL;
        END;
    END IF;
    IF versions IS NULL OR array_position(versions, NULL) > 0 THEN
        SELECT jsonb_agg(jsonb_build_object('number', i, 'actual', coalesce(h.version, 0), 'actor', e.actor, 'at', e.created_at, 'type', e.event_type)
                         ORDER BY i)
          INTO conflicts
          FROM generate_subscripts(aggregate_ids, 1) i
          LEFT JOIN pgcharter.event_heads h
            ON h.tenant = whose AND h.aggregate_type = aggregate_types[i] AND h.aggregate_id = aggregate_ids[i]
          LEFT JOIN pgcharter.events e
            ON e.tenant = whose AND e.aggregate_type = aggregate_types[i] AND e.aggregate_id = aggregate_ids[i] AND e.event_version = h.version
         WHERE versions[i] IS NULL;
        IF on_conflict = 'raise' THEN
            SELECT * INTO said FROM jsonb_to_recordset(conflicts) c(number integer, actual integer, actor text, at timestamptz, type text);
            RAISE EXCEPTION '% % is at version %, and the append expected %; last was % by % at %', aggregate_types[said.number],
                aggregate_ids[said.number], said.actual,
                CASE expected[said.number] WHEN -2 THEN 'some' ELSE expected[said.number]::text END,
                coalesce(said.type, 'nothing'), coalesce(said.actor, 'nobody named'), coalesce(said.at::text, 'no time')
                USING ERRCODE = 'PC409', DETAIL = conflicts::text, HINT = 'read the aggregate again, and decide anew';
        END IF;
        IF on_conflict = 'report' OR jsonb_array_length(conflicts) = n THEN
            versions := array_fill(NULL::integer, ARRAY[n]);
            RETURN;
        END IF;
    END IF;
    -- Heads are locked now, so that positions and times of an aggregate follow its versions. From here on readers wait at what was drawn last.
    -- The setting names the transaction, so that one which is set for a session opens nothing.
    barrier := CASE WHEN current_setting('pgcharter.events_in', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        set_config('pgcharter.events_in', CASE WHEN pg_advisory_xact_lock_shared(
            1885824357, ((coalesce(pg_sequence_last_value('pgcharter.events_position'), 0) << 32) >> 32)::integer
        ) IS NOT NULL THEN pg_current_xact_id()::text END, true) END;
    written_at := clock_timestamp();
    seed := lpad(to_hex((extract(epoch FROM written_at) * 1000)::bigint), 12, '0') || '8' || lpad(to_hex((random() * 4095)::integer), 3, '0');
    kept_in := CASE WHEN to_regclass('pgcharter.events_' || to_char(written_at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL THEN date '1000-01-01'
                    ELSE date_trunc('month', written_at AT TIME ZONE 'UTC')::date END;
    -- An id that nobody gave is of version 8: milliseconds, 12 random bits, the position.
    INSERT INTO pgcharter.events (
        position, month, tenant, aggregate_type, aggregate_id, event_version, event_id, event_type, schema_version, event_data, metadata,
        actor, correlation, causation, created_at
    )
    SELECT u.p, kept_in, whose, aggregate_types[u.a], aggregate_ids[u.a], versions[u.a] + firsts[u.a] + u.o,
           coalesce(u.id, (seed || to_hex((u.p & 4611686018427387903) | -9223372036854775808))::uuid),
           u.type, coalesce(u.schema, 1), u.data, u.notes,
           coalesce(actors[u.a], who), coalesce(correlations[u.a], what), causations[u.a], written_at
      FROM (SELECT nextval('pgcharter.events_position') AS p, coalesce(x.a, 1) AS a, x.type, x.data, x.notes, x.schema, x.id, x.o
              FROM (SELECT unnest(event_types) AS type, unnest(event_data) AS data, unnest(owners) AS a, unnest(metadata) AS notes,
                           unnest(schema_versions) AS schema, unnest(event_ids) AS id, generate_series(1, cardinality(event_types)) AS o) x
             WHERE versions[coalesce(x.a, 1)] IS NOT NULL) u;
    last_position := currval('pgcharter.events_position');
END
$function$
