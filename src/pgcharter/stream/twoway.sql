-- name: state
CREATE SCHEMA IF NOT EXISTS pgcharter_copies;
CREATE TABLE IF NOT EXISTS pgcharter_copies.ways (
    origin text PRIMARY KEY, lsn bigint NOT NULL DEFAULT 0, ordinal bigint NOT NULL DEFAULT 0,
    acked timestamptz NOT NULL DEFAULT clock_timestamp());
COMMENT ON TABLE pgcharter_copies.ways IS 'How far each way of copying is; of changes made here up to `acked` the other side has decided';
CREATE TABLE IF NOT EXISTS pgcharter_copies.acks (origin text PRIMARY KEY, acked timestamptz NOT NULL);
COMMENT ON TABLE pgcharter_copies.acks IS 'Commit time of the newest change that came and is decided; goes to the other side';
CREATE TABLE IF NOT EXISTS pgcharter_copies.verdicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin text NOT NULL, target text NOT NULL, key jsonb NOT NULL, row jsonb);
COMMENT ON TABLE pgcharter_copies.verdicts IS 'Rows that stayed as they were against what came; goes to the other side, and is empty else';
CREATE TABLE IF NOT EXISTS pgcharter_copies.conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin text NOT NULL, target text NOT NULL, key jsonb NOT NULL,
    done text NOT NULL, why text NOT NULL, fields text[] NOT NULL, lost jsonb, at timestamptz NOT NULL DEFAULT clock_timestamp());
COMMENT ON TABLE pgcharter_copies.conflicts IS
    'Rows changed at both sides. kept: what came lost; taken: what was here lost; merged; refused: what came could not be. lost: that row, null for a delete';
CREATE TABLE IF NOT EXISTS pgcharter_copies.parked (
    origin text, target text, key jsonb, row jsonb NOT NULL, why text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (origin, target, key));
COMMENT ON TABLE pgcharter_copies.parked IS 'Rows of the deciding side that cannot be here yet; tried again with everything that comes'

-- name: begin
SELECT pg_replication_origin_create(%(origin)s) WHERE pg_replication_origin_oid(%(origin)s) IS NULL

-- name: way
WITH made AS (INSERT INTO pgcharter_copies.ways (origin) VALUES (%(origin)s) ON CONFLICT DO NOTHING RETURNING lsn, ordinal, acked)
SELECT lsn, ordinal, acked::text FROM made UNION ALL SELECT lsn, ordinal, acked::text FROM pgcharter_copies.ways WHERE origin = %(origin)s

-- name: anew
WITH p AS (DELETE FROM pgcharter_copies.parked WHERE origin = %(origin)s)
UPDATE pgcharter_copies.ways SET lsn = 0, ordinal = 0 WHERE origin = %(origin)s

-- name: forget
DELETE FROM pgcharter_copies.ways WHERE origin = %s

-- name: stamp
UPDATE pgcharter_copies.ways SET lsn = %(lsn)s, ordinal = %(ordinal)s WHERE origin = %(origin)s AND (lsn, ordinal) < (%(lsn)s, %(ordinal)s)

-- name: ack
INSERT INTO pgcharter_copies.acks AS a VALUES (%s, %s) ON CONFLICT (origin) DO UPDATE SET acked = excluded.acked WHERE a.acked < excluded.acked

-- name: acked
UPDATE pgcharter_copies.ways SET acked = greatest(acked, %s) WHERE origin = %s

-- name: verdict
INSERT INTO pgcharter_copies.verdicts (origin, target, key, row) VALUES (%s, %s, %s, %s)

-- name: told
DELETE FROM pgcharter_copies.verdicts WHERE origin = %s

-- name: conflict
INSERT INTO pgcharter_copies.conflicts (origin, target, key, done, why, fields, lost) VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: park
INSERT INTO pgcharter_copies.parked AS p (origin, target, key, row, why) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (origin, target, key) DO UPDATE SET row = excluded.row, why = excluded.why

-- name: parked
SELECT target, key, row FROM pgcharter_copies.parked WHERE origin = %s ORDER BY at

-- name: free
DELETE FROM pgcharter_copies.parked WHERE origin = %s AND target = %s AND key = %s
