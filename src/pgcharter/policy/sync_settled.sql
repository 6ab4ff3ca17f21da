CREATE OR REPLACE FUNCTION pgcharter.sync_settled()
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    high int8;
    seen int8;
    held int8[];
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby, which does not know who is writing, so it cannot say which changes are settled'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'ask the primary';
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a transaction that is % reads what was there when it began, so changes that are settled now it may not see',
            current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state', HINT = 'ask in a transaction that is READ COMMITTED';
    END IF;
    -- Each statement comes after the one before it: whoever is not seen to hold a lock draws positions above `high`.
    high := coalesce(pg_sequence_last_value('pgcharter.sync_position'::regclass), 0);
    SELECT array_agg(l.objid::int8) INTO held
      FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.classid::int8 = 1885824370 AND l.objsubid = 2
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    IF held IS NULL THEN
        RETURN high;
    END IF;
    -- A lock has the low half of a position that was drawn before; all of them are at most what is drawn last now.
    seen := pg_sequence_last_value('pgcharter.sync_position'::regclass);
    RETURN (SELECT least(high, min(seen - (((seen & 4294967295) - low + 4294967296) & 4294967295))) FROM unnest(held) low);
END
$function$
