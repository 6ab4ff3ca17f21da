CREATE OR REPLACE FUNCTION pgcharter.saga_start(given uuid, type text, version integer, data jsonb, key text, correlated text, within interval, after interval)
 RETURNS TABLE(id uuid, made boolean, state text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    own text := coalesce(current_setting('pgcharter.tenant', true), '');
BEGIN
    INSERT INTO pgcharter.saga_instances AS i
           (saga_id, tenant, saga_type, definition_version, business_key, saga_data, correlation, next_at, deadline)
    VALUES (given, own, type, version, key, data, correlated, clock_timestamp() + coalesce(after, '0'), clock_timestamp() + within)
        ON CONFLICT DO NOTHING
    RETURNING i.saga_id, true, i.status INTO id, made, state;
    IF NOT FOUND THEN
        SELECT i.saga_id, false, i.status INTO id, made, state
          FROM pgcharter.saga_instances i
         WHERE i.tenant = own AND i.saga_type = type AND (i.business_key = key OR i.saga_id = given)
         ORDER BY (i.business_key = key) IS TRUE DESC LIMIT 1;
    END IF;
    IF id IS NULL THEN
        IF EXISTS (SELECT FROM pgcharter.saga_instances i WHERE i.saga_id = given) THEN
            RAISE EXCEPTION 'a saga % cannot have id %, which is another one''s', type, given USING ERRCODE = 'unique_violation';
        END IF;
        -- Its transaction has ended since this one's snapshot was taken.
        RAISE EXCEPTION 'a saga % with this key was started after this transaction began to read', type USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEXT;
END
$function$
