CREATE OR REPLACE FUNCTION pgcharter.sync_same_key(relation oid, before record, after record)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
-- Whether what may tell rows apart is as before, so that the old row need not be written down.
DECLARE
    keys text;
    same bool;
BEGIN
    SELECT string_agg(DISTINCT format('($1).%1$I IS NOT DISTINCT FROM ($2).%1$I', a.attname), ' AND ') INTO keys
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = relation AND i.indisunique;
    IF keys IS NULL OR EXISTS (SELECT FROM pg_class c
                                WHERE (c.oid = relation OR c.oid IN (SELECT p.relid FROM pg_partition_ancestors(relation) p))
                                  AND c.relreplident = 'f') THEN
        RETURN false;
    END IF;
    EXECUTE 'SELECT ' || keys INTO same USING before, after;
    RETURN same;
END
$function$
