-- name: key
SELECT coalesce(
    (SELECT array_agg(a.attname::text ORDER BY k.n)
     FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY AS k (attnum, n), pg_attribute a
     WHERE c.conrelid = %(table)s::regclass AND c.contype = 'p' AND a.attrelid = c.conrelid AND a.attnum = k.attnum),
    '{}')

-- name: references
-- Foreign keys that lead to a table, directly or through others that are deleted with their parents; those of partitions belong to the whole.
WITH RECURSIVE leads AS (
    SELECT c.oid, c.conname, c.conrelid, c.confrelid, c.confdeltype, c.conkey, c.confkey FROM pg_constraint c
    WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = %(table)s::regclass
    UNION
    SELECT c.oid, c.conname, c.conrelid, c.confrelid, c.confdeltype, c.conkey, c.confkey FROM leads l JOIN pg_constraint c ON c.confrelid = l.conrelid
    WHERE c.contype = 'f' AND c.conparentid = 0 AND l.confdeltype = 'c'
)
SELECT l.confrelid::int8, l.conrelid::int8, s.nspname::text, t.relname::text, l.confdeltype::text,
    (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(l.conkey) WITH ORDINALITY AS k (attnum, n)
     JOIN pg_attribute a ON a.attrelid = l.conrelid AND a.attnum = k.attnum),
    (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(l.confkey) WITH ORDINALITY AS k (attnum, n)
     JOIN pg_attribute a ON a.attrelid = l.confrelid AND a.attnum = k.attnum),
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = l.conrelid AND a.attname = %(column)s AND NOT a.attisdropped)
FROM leads l JOIN pg_class t ON t.oid = l.conrelid JOIN pg_namespace s ON s.oid = t.relnamespace
ORDER BY l.conrelid, l.conname
