CREATE OR REPLACE FUNCTION pgcharter.saga_signal(given uuid, saga uuid, type text, key text, kind text, name text, payload jsonb, actor text, reason text)
 RETURNS uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_variable
-- The saga, by its id or its type and business key; NULL: this tenant has none. Its row is not written: no signal waits for a worker.
DECLARE
    own text := coalesce(current_setting('pgcharter.tenant', true), '');
    found uuid;
BEGIN
    SELECT i.saga_id INTO found
      FROM pgcharter.saga_instances i
     WHERE i.tenant = own AND (i.saga_id = saga OR saga IS NULL AND i.saga_type = type AND i.business_key = key);
    IF found IS NOT NULL THEN
        INSERT INTO pgcharter.saga_signals (signal_id, saga_id, tenant, kind, name, payload, actor, reason)
        VALUES (given, found, own, kind, name, payload, actor, reason)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN found;
END
$function$
