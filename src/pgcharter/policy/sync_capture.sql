CREATE OR REPLACE FUNCTION pgcharter.sync_capture()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "DateStyle" TO 'ISO'
 SET "IntervalStyle" TO 'postgres'
 SET "TimeZone" TO 'UTC'
 SET bytea_output TO 'hex'
 SET extra_float_digits TO '1'
AS $function$
-- Rows are written as text, as their type writes itself under the settings above: whatever becomes of the table's columns, nothing here names
-- one, so that no change of the schema can break a write. What the columns were is in sync_shapes, found by a mark.
-- Each expression costs more to make ready than to evaluate, once in each transaction, so there are as few as can be.
DECLARE
    into_part CONSTANT int2 := pg_sequence_last_value('pgcharter.sync_turn'::regclass);
    here CONSTANT text := pg_current_xact_id()::text;
    done text;
    statement text;
    number int8;
    shape int8 := 0;
    known bool;
    before text;
BEGIN
    IF into_part IS NULL OR into_part < 0 THEN
        RETURN NULL;  -- nobody reads
    END IF;
    IF current_setting('pgcharter.sync_in', true) IS DISTINCT FROM here THEN
        -- From left to right: the position drawn last, the lock that names it, and that this transaction has one.
        done := concat(
            pg_advisory_xact_lock_shared(1885824370,
                ((coalesce(pg_sequence_last_value('pgcharter.sync_position'::regclass), 0) << 32) >> 32)::int4),
            set_config('pgcharter.sync_in', here, true));
    END IF;
    IF TG_OP <> 'TRUNCATE' THEN
        IF TG_OP <> 'DELETE' THEN
            -- Columns cannot change within a statement. A row that was overtaken within it has a number of another kind, and xmax tells.
            statement := concat_ws(' ', here, TG_RELID, NEW.cmin, NEW.xmax);
        END IF;
        IF statement = current_setting('pgcharter.sync_statement', true) THEN
            shape := current_setting('pgcharter.sync_mark', true);
        ELSE
            -- A snapshot of the transaction may be older than the columns: then sync_shape asks the row.
            SELECT m.mark, current_setting('transaction_isolation') LIKE 'read %'
                           AND EXISTS (SELECT FROM pgcharter.sync_shapes s WHERE s.relation = TG_RELID AND s.mark = m.mark)
              INTO shape, known
              FROM (SELECT bit_xor(hash_record_extended(ROW(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated), 0)) AS mark
                      FROM pg_attribute a WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped) m;
            IF NOT known THEN
                shape := pgcharter.sync_shape(TG_RELID, shape, CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
            END IF;
            IF statement IS NOT NULL THEN
                done := concat(set_config('pgcharter.sync_statement', statement, true), set_config('pgcharter.sync_mark', shape::text, true));
            END IF;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            before := OLD::text;
            IF TG_OP = 'UPDATE' AND octet_length(before) > 2000 AND pgcharter.sync_same_key(TG_RELID, OLD, NEW) THEN
                before := NULL;
            END IF;
        END IF;
    END IF;
    INSERT INTO pgcharter.sync_log (position, part, at, relation, op, mark, row, old)
    VALUES (nextval('pgcharter.sync_position'::regclass), into_part, clock_timestamp(), TG_RELID, TG_OP, shape,
            CASE WHEN statement IS NOT NULL THEN NEW::text END, before)
    RETURNING position INTO number;
    IF number % 64 = 0 AND (SELECT sum(pg_total_relation_size(i.inhrelid)) FROM pg_inherits i
                             WHERE i.inhparent = 'pgcharter.sync_log'::regclass) > KEEP_BYTES
       AND pg_try_advisory_xact_lock(1885824371, 0) THEN  -- whoever rotates would turn it on again
        PERFORM setval('pgcharter.sync_turn'::regclass, -1);
        RAISE WARNING 'changes that nobody has fetched for copies are more than % bytes, so they are not written down any more', KEEP_BYTES
            USING HINT = 'pgcharter sync init --anew begins the copies again';
    END IF;
    RETURN NULL;
END
$function$
