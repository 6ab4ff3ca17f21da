-- name: installed
SELECT pg_catalog.to_regclass('pgcharter.legal_holds') IS NOT NULL, pg_catalog.to_regclass('pgcharter.retention_runs') IS NOT NULL

-- name: holds
SELECT hold_id, table_schema, table_name, column_name, column_value, reason, held_by, held_at
  FROM pgcharter.legal_holds WHERE released_at IS NULL ORDER BY held_at, hold_id

-- name: history
INSERT INTO pgcharter.retention_runs (table_schema, table_name, action, cut_off, rows_gone, went_to, sha256)
VALUES (%(schema)s, %(name)s, %(action)s, %(cut_off)s, %(rows)s, %(to)s, %(sha256)s)

-- Held against those who place holds: while rows leave no hold is placed, so that what is held when that returns has not left after it.
-- name: leaving
SELECT pg_catalog.pg_advisory_xact_lock_shared(1885824361)

-- name: holding
SELECT pg_catalog.pg_advisory_xact_lock(1885824361)

-- name: tables
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner)::text, c.reltuples::int8,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'DELETE'), pg_catalog.row_security_active(c.oid), c.relispartition,
       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.n)
          FROM pg_catalog.pg_constraint p, unnest(p.conkey) WITH ORDINALITY k (attnum, n), pg_catalog.pg_attribute a
         WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attrelid = c.oid AND a.attnum = k.attnum)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgcharter') AND n.nspname NOT LIKE 'pg\_%%'
 ORDER BY 2, 3

-- name: columns
SELECT a.attrelid::int8, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), coalesce(b.typname, t.typname)::text, a.attnotnull,
       a.atthasdef OR a.attidentity <> ''
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
 WHERE a.attrelid = ANY(%(tables)s::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum

-- name: references
SELECT f.conrelid::int8, f.confrelid::int8, f.confdeltype::text,
       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, n), pg_catalog.pg_attribute a
         WHERE a.attrelid = f.conrelid AND a.attnum = k.attnum),
       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k (attnum, n), pg_catalog.pg_attribute a
         WHERE a.attrelid = f.confrelid AND a.attnum = k.attnum)
  FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.conparentid = 0 ORDER BY f.conrelid, f.conname

-- name: leading
SELECT DISTINCT i.indrelid::int8, a.attname::text
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE i.indrelid = ANY(%(tables)s::int8[]::oid[]) AND i.indisvalid AND i.indpred IS NULL

-- name: undone
SELECT w.id FROM unnest(%(batches)s::text[]) w (id) WHERE NOT EXISTS (SELECT FROM pgcharter.retention_runs r WHERE r.run_id::text = w.id)

-- name: batch
INSERT INTO pgcharter.retention_runs (run_id, table_schema, table_name, action, cut_off, rows_gone, went_to, sha256)
VALUES (%(id)s, %(schema)s, %(name)s, %(action)s, %(cut_off)s, %(rows)s, %(to)s, %(sha256)s)

-- name: runs
SELECT table_schema, table_name, action, count(*), sum(rows_gone)::int8, max(created_at), max(cut_off)
  FROM pgcharter.retention_runs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
