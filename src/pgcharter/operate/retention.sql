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
