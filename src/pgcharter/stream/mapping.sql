-- name: primary_key
SELECT a.attname::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
WHERE i.indrelid = %s AND i.indisprimary
ORDER BY array_position(i.indkey::int2[], a.attnum)

-- name: domains
WITH RECURSIVE t AS (
    SELECT o AS wanted, o AS oid, -1 AS modifier, '' AS brackets FROM unnest(%s::oid[]) o
    UNION ALL
    SELECT t.wanted, CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.typelem END,
           CASE WHEN y.typtype = 'd' THEN y.typtypmod ELSE t.modifier END,
           CASE WHEN y.typtype = 'd' THEN t.brackets ELSE '[]' END
    FROM t JOIN pg_catalog.pg_type y ON y.oid = t.oid
    WHERE y.typtype = 'd' OR (y.typcategory = 'A' AND y.typelem <> 0 AND t.brackets = ''
          AND EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = y.typelem AND e.typtype = 'd')))
SELECT DISTINCT ON (wanted) wanted, format_type(t.oid, t.modifier) || brackets
FROM t JOIN pg_catalog.pg_type y ON y.oid = t.oid
WHERE y.typtype <> 'd' AND t.oid <> t.wanted
  AND NOT (y.typcategory = 'A' AND EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = y.typelem AND e.typtype = 'd'))

-- name: tenants
SELECT DISTINCT {column}::text FROM {table} WHERE {column} IS NOT NULL
