-- name: settings
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)
UNION ALL
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')

-- name: state
CREATE SCHEMA IF NOT EXISTS pgcharter_copies;
CREATE TABLE IF NOT EXISTS pgcharter_copies.checkpoints (
    sink text PRIMARY KEY, lsn bigint NOT NULL, ordinal bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS pgcharter_copies.cleared (
    target text PRIMARY KEY, lsn bigint NOT NULL, ordinal bigint NOT NULL);
CREATE TABLE IF NOT EXISTS pgcharter_copies.gone (
    target text, key jsonb, lsn bigint NOT NULL, ordinal bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, key));
CREATE TABLE IF NOT EXISTS pgcharter_copies.targets (sink text, target text, PRIMARY KEY (sink, target));
CREATE INDEX IF NOT EXISTS gone_at ON pgcharter_copies.gone (at);
COMMENT ON TABLE pgcharter_copies.checkpoints IS 'Up to which change each sink of pgcharter sync has written here.';
COMMENT ON TABLE pgcharter_copies.targets IS 'Tables that each sink has made or taken, so that one which was dropped is noticed.';
COMMENT ON TABLE pgcharter_copies.cleared IS 'The latest truncate of each copied table: older rows are not taken any more.';
COMMENT ON TABLE pgcharter_copies.gone IS 'Rows deleted lately, so that an older change that comes late does not bring them back.'

-- name: has_state
SELECT to_regclass('pgcharter_copies.targets') IS NOT NULL

-- name: one_writer
SELECT pg_advisory_xact_lock(1885824359, hashtext(%s))

-- name: checkpoint
SELECT lsn, ordinal FROM pgcharter_copies.checkpoints WHERE sink = %s

-- name: before
SELECT t, EXISTS (SELECT FROM pgcharter_copies.gone g WHERE g.target = t), c.lsn, c.ordinal
  FROM unnest(%s::text[]) t LEFT JOIN pgcharter_copies.cleared c ON c.target = t

-- name: keep
INSERT INTO pgcharter_copies.checkpoints AS c (sink, lsn, ordinal) VALUES (%s, %s, %s)
ON CONFLICT (sink) DO UPDATE SET lsn = excluded.lsn, ordinal = excluded.ordinal, at = now()
WHERE (c.lsn, c.ordinal) <= (excluded.lsn, excluded.ordinal)

-- name: keep_cleared
INSERT INTO pgcharter_copies.cleared AS c (target, lsn, ordinal) VALUES (%s, %s, %s)
ON CONFLICT (target) DO UPDATE SET lsn = excluded.lsn, ordinal = excluded.ordinal
WHERE (c.lsn, c.ordinal) < (excluded.lsn, excluded.ordinal)

-- name: targets
SELECT target FROM pgcharter_copies.targets WHERE sink = %s

-- name: keep_targets
INSERT INTO pgcharter_copies.targets (sink, target) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING

-- name: lost
UPDATE pgcharter_copies.checkpoints SET lsn = 1, ordinal = 0, at = now() WHERE sink = %s

-- name: purge
DELETE FROM pgcharter_copies.gone WHERE at < now() - make_interval(secs => %s)

-- name: tables
SELECT n.nspname, c.relname, c.relkind::text,
       ARRAY(SELECT ARRAY[a.attname::text, format_type(a.atttypid, a.atttypmod)]
             FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       ARRAY(SELECT to_json(ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                                  WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])))::text
             FROM pg_catalog.pg_index i
             WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
               AND i.indimmediate)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest(%s::text[], %s::text[]))

-- name: types
SELECT t, to_regtype(t) IS NOT NULL FROM unnest(%s::text[]) t
