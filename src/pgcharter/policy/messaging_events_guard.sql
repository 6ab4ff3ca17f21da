CREATE OR REPLACE FUNCTION pgcharter.events_guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: what has happened stays as it was told, or whoever has read it knows something else',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
            HINT = 'append an event that corrects it; personal fields are erased with their key; pgcharter events archive takes old months away';
END
$function$
