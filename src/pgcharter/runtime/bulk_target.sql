-- name: target
WITH RECURSIVE at AS (
  SELECT to_regclass(%(table)s)::oid AS oid
), bases AS (
  SELECT a.attnum, a.atttypid AS type FROM pg_catalog.pg_attribute a JOIN at ON a.attrelid = at.oid WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, t.typbasetype FROM bases b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT n.nspname, c.relname, c.relkind::text, row_security_active(c.oid),
       CASE WHEN c.relkind IN ('r', 'p', 'f') THEN true
            ELSE EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgtype & 64 <> 0 AND g.tgtype & 4 <> 0) END,
       pg_catalog.pg_relation_is_updatable(c.oid::regclass, true) & 8 <> 0,
       -- What is checked when the statement ends names no row: AFTER triggers, foreign keys and deferrable keys among them.
       EXISTS (SELECT FROM pg_catalog.pg_trigger g
                WHERE (g.tgrelid = c.oid OR g.tgrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) p))
                  AND g.tgtype & 66 = 0 AND g.tgtype & 4 <> 0 AND g.tgenabled <> 'D'),
       (SELECT coalesce(json_agg(json_build_object(
                 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'base', b.type::bigint, 'kind', t.typtype,
                 'receive', t.typreceive::regproc::text, 'generated', a.attgenerated <> '', 'identity', a.attidentity,
                 'collation', (SELECT format('%%I.%%I', cn.nspname, l.collname) FROM pg_catalog.pg_collation l
                                 JOIN pg_catalog.pg_namespace cn ON cn.oid = l.collnamespace
                                WHERE l.oid = a.attcollation AND a.attcollation <> at_type.typcollation)) ORDER BY a.attnum), '[]')
          FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_type at_type ON at_type.oid = a.atttypid
          JOIN bases b ON b.attnum = a.attnum
          JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       (SELECT coalesce(json_agg(json_build_object(
                 'name', o.conname, 'primary', i.indisprimary, 'alike', {{since 15: i.indnullsnotdistinct otherwise false}},
                 'columns', (SELECT json_agg(a.attname ORDER BY k.ordinality)
                               FROM unnest(i.indkey::int[]) WITH ORDINALITY k (number, ordinality)
                               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
                              WHERE k.ordinality <= i.indnkeyatts))), '[]')
          FROM pg_catalog.pg_index i
          LEFT JOIN pg_catalog.pg_constraint o ON o.conindid = i.indexrelid AND o.conrelid = i.indrelid AND o.contype IN ('p', 'u', 'x')
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate)
  FROM at
  JOIN pg_catalog.pg_class c ON c.oid = at.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
