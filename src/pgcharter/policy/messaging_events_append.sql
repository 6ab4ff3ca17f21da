CREATE OR REPLACE FUNCTION pgcharter.append_events(
    aggregate_types text[], aggregate_ids {id}[], expected integer[], counts integer[], event_types text[], event_data jsonb[],
    metadata jsonb[] DEFAULT NULL, schema_versions integer[] DEFAULT NULL, event_ids uuid[] DEFAULT NULL, actors text[] DEFAULT NULL,
    correlations text[] DEFAULT NULL, causations text[] DEFAULT NULL, for_tenant text DEFAULT NULL, on_conflict text DEFAULT 'raise',
    OUT versions integer[], OUT last_position bigint, OUT written_at timestamp with time zone, OUT conflicts jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
-- The first `counts[1]` events are of aggregate 1, the next of aggregate 2, and so on. `expected` is the version that an aggregate must have:
-- 0 none yet, -1 or NULL any, -2 one at least. `on_conflict`: raise; report: append nothing, say why in `conflicts`; each: the others are
-- appended. Where the version is another, `versions` is NULL.
DECLARE
    n CONSTANT integer := cardinality(aggregate_ids);
    whose CONSTANT text := coalesce(for_tenant, current_setting('pgcharter.tenant', true), '');
    who CONSTANT text := nullif(current_setting('pgcharter.actor', true), '');
    belongs CONSTANT text := nullif(current_setting('pgcharter.correlation', true), '');
    owners integer[];
    firsts integer[];
    kept_in date;
    refused boolean := false;
    said record;
BEGIN
    IF n IS DISTINCT FROM cardinality(aggregate_types) OR n IS DISTINCT FROM cardinality(expected) OR n IS DISTINCT FROM cardinality(counts)
       OR cardinality(event_types) IS DISTINCT FROM cardinality(event_data) OR n = 0
       OR cardinality(event_types) IS DISTINCT FROM (SELECT sum(c) FROM unnest(counts) c WHERE c > 0) OR array_position(counts, 0) > 0 THEN
        RAISE EXCEPTION 'the arrays given to append_events do not belong together, so nothing was appended'
            USING ERRCODE = 'array_subscript_error', HINT = 'one type, id, expected version and number of events (1 at least) for each aggregate';
    END IF;
    IF on_conflict = 'report' AND n > 1 THEN
        BEGIN
            versions := pgcharter.event_heads_moved(whose, aggregate_types, aggregate_ids, expected, counts);
            IF array_position(versions, NULL) > 0 THEN
                RAISE EXCEPTION 'taken back' USING ERRCODE = 'PC409';
            END IF;
        EXCEPTION WHEN SQLSTATE 'PC409' THEN
            refused := true;
        END;
    ELSE
        versions := pgcharter.event_heads_moved(whose, aggregate_types, aggregate_ids, expected, counts);
    END IF;
    IF array_position(versions, NULL) > 0 THEN
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
        IF refused OR on_conflict = 'report' OR n = (SELECT count(*) FROM unnest(versions) v WHERE v IS NULL) THEN
            versions := array_fill(NULL::integer, ARRAY[n]);
            RETURN;
        END IF;
    END IF;
    -- Heads are locked now, so that positions and times of an aggregate follow its versions. From here on readers wait at what was drawn last.
    IF coalesce(current_setting('pgcharter.events_in', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared(
            1885824357, ((coalesce(pg_sequence_last_value('pgcharter.events_position'), 0) << 32) >> 32)::integer
        );
        PERFORM set_config('pgcharter.events_in', '1', true);
    END IF;
    written_at := clock_timestamp();
    kept_in := CASE WHEN to_regclass('pgcharter.events_' || to_char(written_at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL THEN date '1000-01-01'
                    ELSE date_trunc('month', written_at AT TIME ZONE 'UTC')::date END;
    IF n = 1 THEN
        owners := array_fill(1, ARRAY[counts[1]]);
        firsts := ARRAY[versions[1] - counts[1]];
    ELSE
        SELECT array_agg(i ORDER BY i) INTO owners FROM generate_subscripts(counts, 1) i, generate_series(1, counts[i]);
        SELECT array_agg(versions[i] - upto ORDER BY i) INTO firsts
          FROM (SELECT i, sum(counts[i]) OVER (ORDER BY i) FROM generate_subscripts(counts, 1) i) s(i, upto);
    END IF;
    INSERT INTO pgcharter.events (
        position, month, tenant, aggregate_type, aggregate_id, event_version, event_id, event_type, schema_version, event_data, metadata,
        actor, correlation, causation, created_at
    )
    SELECT nextval('pgcharter.events_position'), kept_in, whose, aggregate_types[u.a], aggregate_ids[u.a], firsts[u.a] + u.o,
           coalesce(u.id, gen_random_uuid()), u.type, coalesce(u.schema, 1), u.data, u.notes,
           coalesce(actors[u.a], who), coalesce(correlations[u.a], belongs), causations[u.a], written_at
      FROM unnest(event_types, event_data, owners, metadata, schema_versions, event_ids)
           WITH ORDINALITY u(type, data, a, notes, schema, id, o)
     WHERE versions[u.a] IS NOT NULL;
    last_position := currval('pgcharter.events_position');
END
$function$
