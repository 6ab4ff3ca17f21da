CREATE OR REPLACE FUNCTION pgcharter.sync_turn(wanted boolean)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
-- Has changes written down, or no longer; whether it could be done now. Positions begin where the server's log stands, so that whatever was
-- stamped before, by either capture, is older. That leap must not be made while somebody holds a position from before it.
DECLARE
    filled CONSTANT int8 := coalesce(pg_sequence_last_value('pgcharter.sync_turn'::regclass), -1);
BEGIN
    IF NOT wanted THEN
        PERFORM setval('pgcharter.sync_turn'::regclass, -1) WHERE filled >= 0;
        RETURN true;
    ELSIF filled >= 0 THEN
        RETURN true;
    ELSIF EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid::int8 = 1885824370 AND l.objsubid = 2
                     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) THEN
        RETURN false;
    END IF;
    UPDATE pgcharter.sync_captures SET lost = true;
    PERFORM setval('pgcharter.sync_position'::regclass,
                   greatest(pg_sequence_last_value('pgcharter.sync_position'::regclass), (pg_current_wal_lsn() - '0/0')::int8, 1));
    PERFORM setval('pgcharter.sync_turn'::regclass, 0);
    RETURN true;
END
$function$
