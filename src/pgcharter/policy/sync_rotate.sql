CREATE OR REPLACE FUNCTION pgcharter.sync_rotate(full_bytes bigint)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    filled int8;
    passed int8;
    one record;
    behind bool;
    emptied int4 := 0;
    next_one int4;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a transaction that is % reads what was there when it began, so what was written since it may not see',
            current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state', HINT = 'rotate in a transaction that is READ COMMITTED';
    END IF;
    SELECT min(c.position) INTO passed FROM pgcharter.sync_captures c WHERE NOT c.lost;
    IF NOT pg_try_advisory_xact_lock(1885824371, 0) THEN
        RETURN 0;
    END IF;
    filled := coalesce(pg_sequence_last_value('pgcharter.sync_turn'::regclass), -1);
    FOR one IN
        SELECT c.oid, c.oid::regclass::text AS name, substring(c.relname FROM '[0-9]+$')::int4 AS part
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'pgcharter.sync_log'::regclass ORDER BY 3
    LOOP
        IF one.part = filled OR pg_relation_size(one.oid) = 0 THEN
            CONTINUE;
        END IF;
        BEGIN
            -- NOWAIT: nobody ever stands in line behind it. Whoever still may write into the part holds a lock on it, prepared or not.
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE NOWAIT', one.name);
            -- A statement of its own, with a snapshot from after the lock: all that was written to the part is committed, and seen.
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE position > $1)', one.name) INTO behind USING passed;
            IF NOT behind OR passed IS NULL THEN
                EXECUTE format('TRUNCATE ONLY %s', one.name);
                emptied := emptied + 1;
            ELSE
                RAISE EXCEPTION USING ERRCODE = 'PGCH0';
            END IF;
        EXCEPTION WHEN lock_not_available OR SQLSTATE 'PGCH0' THEN
            NULL;  -- the lock goes with the savepoint: the part is looked at again the next time
        END;
    END LOOP;
    IF filled >= 0 AND pg_total_relation_size(format('pgcharter.sync_log_%s', filled)::regclass) >= full_bytes THEN
        SELECT p.part INTO next_one
          FROM (SELECT c.oid, substring(c.relname FROM '[0-9]+$')::int4 AS part
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'pgcharter.sync_log'::regclass) p
         WHERE p.part <> filled AND pg_relation_size(p.oid) = 0
         ORDER BY p.part < filled, p.part LIMIT 1;
        IF next_one IS NOT NULL THEN
            PERFORM setval('pgcharter.sync_turn'::regclass, next_one);
        END IF;
    END IF;
    RETURN emptied;
END
$function$
