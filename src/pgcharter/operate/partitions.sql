-- name: tables
SELECT w.n, c.oid::int8, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner)::text, p.partstrat::text, p.partnatts,
       a.attname::text, coalesce(bt.typname, t.typname)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       d.oid::int8, dn.nspname::text, d.relname::text, pg_catalog.pg_is_in_recovery(), pg_catalog.has_schema_privilege(n.oid, 'CREATE')
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY w (schema, name, n)
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
  LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0] AND p.partattrs[0] <> 0
  LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_type bt ON bt.oid = t.typbasetype
  LEFT JOIN pg_catalog.pg_class d ON d.oid = p.partdefid
  LEFT JOIN pg_catalog.pg_namespace dn ON dn.oid = d.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
 ORDER BY w.n

-- Bounds are read in UTC; beyond the years that Python knows they are cut, which moves nothing that is decided by them.
-- name: parts
SELECT parent, schema, name, relkind, pending, bound,
       CASE WHEN low = 'MINVALUE' THEN least_ WHEN low IS NOT NULL THEN greatest(least(low::timestamptz, most_), least_) END,
       CASE WHEN high = 'MAXVALUE' THEN most_ WHEN high IS NOT NULL THEN greatest(least(high::timestamptz, most_), least_) END,
       note, rows, bytes
  FROM (SELECT timestamptz '0002-01-01 00:00:00+00' AS least_, timestamptz '9998-01-01 00:00:00+00' AS most_) edges,
       (SELECT b.*, coalesce(pg_catalog.substring(bound, '^FOR VALUES FROM \(''([^'']+)''\)'), pg_catalog.substring(bound, '^FOR VALUES FROM \((MINVALUE)\)')) AS low,
               coalesce(pg_catalog.substring(bound, ' TO \(''([^'']+)''\)$'), pg_catalog.substring(bound, ' TO \((MAXVALUE)\)$')) AS high
          FROM (SELECT h.inhparent::int8 AS parent, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text, h.inhdetachpending AS pending,
                       pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
                       coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') AS note, c.reltuples::int8 AS rows, pg_catalog.pg_relation_size(c.oid) AS bytes
                  FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE h.inhparent = ANY(%(parents)s::int8[]::oid[])) b) x
 ORDER BY 1, 7 NULLS FIRST, 2, 3

-- Tables that were partitions, which a run was about to take out or has taken out: their comment says of what.
-- name: left
SELECT n.nspname::text, c.relname::text, d.description, c.reltuples::int8, pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_get_userbyid(c.relowner)::text
  FROM pg_catalog.pg_description d JOIN pg_catalog.pg_class c ON c.oid = d.objoid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0 AND c.relkind IN ('r', 'f') AND NOT c.relispartition
   AND d.description LIKE '%%[pgcharter: partition of %%'
 ORDER BY 1, 2

-- name: taken
SELECT w.schema, w.name FROM unnest(%(schemas)s::text[], %(names)s::text[]) w (schema, name)
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
 WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = w.name)
    OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid AND t.typname = w.name)

-- name: partman
SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_partman'

-- name: pending
SELECT h.inhdetachpending FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %(schema)s AND c.relname = %(name)s

-- name: alone
SELECT pg_catalog.pg_try_advisory_lock(1885824360, %(table)s::regclass::oid::int8::bit(32)::int4)

-- name: shared
SELECT pg_catalog.pg_advisory_unlock(1885824360, %(table)s::regclass::oid::int8::bit(32)::int4)
