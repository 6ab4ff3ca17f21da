CREATE OR REPLACE FUNCTION pgcharter.settled(log text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    of_log int8 := CASE log WHEN 'events' THEN 1885824357 WHEN 'outbox' THEN 1885824358 END;
    numbers regclass := to_regclass(CASE log WHEN 'events' THEN 'pgcharter.events_position' WHEN 'outbox' THEN 'pgcharter.outbox_position' END);
    high int8;
    seen int8;
    held int8[];
BEGIN
    IF numbers IS NULL THEN
        RAISE EXCEPTION 'there is no log % in this database, so nothing of it is settled', quote_literal(log)
            USING ERRCODE = 'undefined_object', HINT = 'write its part in [messaging] of the charter, and pgcharter policy apply';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby, which does not know who is appending to log %, so it cannot say what is settled', log
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'ask the primary';
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a transaction that is % reads what was there when it began, so what is settled in log % now it may not see',
            current_setting('transaction_isolation'), log
            USING ERRCODE = 'invalid_transaction_state', HINT = 'ask in a transaction that is READ COMMITTED';
    END IF;
    -- Each statement comes after the one before it: whoever is not seen to hold a lock draws positions above `high`.
    high := coalesce(pg_sequence_last_value(numbers), 0);
    SELECT array_agg(l.objid::int8) INTO held
      FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.classid::int8 = of_log AND l.objsubid = 2
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    IF held IS NULL THEN
        RETURN high;
    END IF;
    -- A lock has the low half of a position that was drawn before; all of them are at most what is drawn last now.
    seen := pg_sequence_last_value(numbers);
    RETURN (SELECT least(high, min(seen - (((seen & 4294967295) - low + 4294967296) & 4294967295))) FROM unnest(held) low);
END
$function$
