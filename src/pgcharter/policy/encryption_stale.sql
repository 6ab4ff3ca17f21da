CREATE OR REPLACE FUNCTION {name}()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    -- Somebody who knows only the clear column has changed it: what stands beside it is of the value before.
{empty}
    RETURN NEW;
END
$function$
