CREATE OR REPLACE FUNCTION pgcharter.sync_shape(relation oid, mark bigint, image record)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
-- Writes down what the columns of a table are. Transactions that do not see each other write it twice, which waits for nobody. In a
-- transaction whose snapshot may be older than the columns the mark may be as well: there the row itself is asked for them.
DECLARE
    columns text[] := array(SELECT json_object_keys(row_to_json(image)));
    oids oid[];
    shape int8 := mark;
BEGIN
    IF current_setting('transaction_isolation') NOT LIKE 'read %' THEN
        EXECUTE (SELECT format('SELECT ARRAY[%s]', string_agg(format('pg_typeof(($1).%I)::oid', c), ', ')) FROM unnest(columns) c)
           INTO oids USING image;
        shape := hashtextextended(columns::text || oids::text, 1);
        IF EXISTS (SELECT FROM pgcharter.sync_shapes s WHERE s.relation = sync_shape.relation AND s.mark = shape) THEN
            RETURN shape;
        END IF;
    ELSE
        oids := array(SELECT a.atttypid FROM unnest(columns) WITH ORDINALITY c (name, n)
                        JOIN pg_attribute a ON a.attrelid = relation AND a.attname = c.name ORDER BY c.n);
    END IF;
    INSERT INTO pgcharter.sync_shapes (relation, mark, ancestors, columns, oids, modifiers, types, generated)
    SELECT sync_shape.relation, shape, array(SELECT p.relid::oid FROM pg_partition_ancestors(sync_shape.relation) p),
           columns, oids, array_agg(x.modifier ORDER BY x.n), array_agg(format_type(x.type, x.modifier) ORDER BY x.n),
           array_agg(x.generated ORDER BY x.n)
      FROM (SELECT c.n, c.type, coalesce(a.atttypmod, -1) AS modifier, coalesce(a.attgenerated <> '', false) AS generated
              FROM unnest(columns, oids) WITH ORDINALITY c (name, type, n)
              LEFT JOIN pg_attribute a ON a.attrelid = sync_shape.relation AND a.attname = c.name AND a.atttypid = c.type) x;
    RETURN shape;
END
$function$
