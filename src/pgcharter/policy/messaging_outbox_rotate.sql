CREATE OR REPLACE FUNCTION pgcharter.outbox_rotate(full_bytes bigint)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    filled int4 := coalesce(pg_sequence_last_value('pgcharter.outbox_turn'::regclass), 0);
    one record;
    highest int8;
    passed int8;
    emptied int4 := 0;
    next_one int4;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a transaction that is % reads what was there when it began, so what others have passed since it may not see',
            current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state', HINT = 'rotate in a transaction that is READ COMMITTED';
    END IF;
    IF NOT pg_try_advisory_xact_lock(1885824365, 0) THEN
        RETURN 0;
    END IF;
    FOR one IN
        SELECT c.oid, c.oid::regclass::text AS name, substring(c.relname FROM '[0-9]+$')::int4 AS part
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'pgcharter.outbox'::regclass ORDER BY 3
    LOOP
        IF one.part = filled OR pg_relation_size(one.oid) = 0 THEN
            CONTINUE;
        END IF;
        BEGIN
            -- NOWAIT: nobody ever stands in line behind it. Whoever still may write into the part holds a lock on it, prepared or not.
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE NOWAIT', one.name);
            -- Statements of their own, with snapshots from after the lock: all that was appended to the part is committed, and seen.
            EXECUTE format('SELECT max(position) FROM %s', one.name) INTO highest;
            SELECT min(f.position) INTO passed FROM pgcharter.feeds f WHERE f.log = 'outbox';
            IF highest IS NULL OR highest <= passed THEN
                EXECUTE format('TRUNCATE ONLY %s', one.name);
                INSERT INTO pgcharter.logs AS l (log, kept_from) VALUES ('outbox', coalesce(highest, 0))
                ON CONFLICT (log) DO UPDATE SET kept_from = greatest(l.kept_from, excluded.kept_from);
                emptied := emptied + 1;
            ELSE
                RAISE EXCEPTION USING ERRCODE = 'PGCH0';
            END IF;
        EXCEPTION WHEN lock_not_available OR SQLSTATE 'PGCH0' THEN
            NULL;  -- the lock goes with the savepoint: the part is looked at again the next time
        END;
    END LOOP;
    IF pg_relation_size(format('pgcharter.outbox_%s', filled)::regclass) >= full_bytes THEN
        SELECT p.part INTO next_one
          FROM (SELECT c.oid, substring(c.relname FROM '[0-9]+$')::int4 AS part
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'pgcharter.outbox'::regclass) p
         WHERE p.part <> filled AND pg_relation_size(p.oid) = 0
         ORDER BY p.part < filled, p.part LIMIT 1;
        IF next_one IS NOT NULL THEN
            PERFORM setval('pgcharter.outbox_turn'::regclass, next_one);
        END IF;
    END IF;
    RETURN emptied;
END
$function$
