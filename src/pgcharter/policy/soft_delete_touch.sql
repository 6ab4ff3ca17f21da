CREATE OR REPLACE FUNCTION {name}()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    -- The start of the transaction, as applications write it: both say the same.
    NEW.{column} := now();
    RETURN NEW;
END
$function$
