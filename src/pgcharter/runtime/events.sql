-- name: append
SELECT versions, last_position, written_at, conflicts
  FROM pgcharter.append_events(%s, %s, %s, %s, string_to_array(%s, E'\n'), string_to_array(%s, E'\n')::jsonb[], %s, %s, %s, %s, %s, %s,
                               %s, %s)

-- name: at_once
SELECT array_to_string(versions, ',', '-'), last_position, (extract(epoch FROM written_at) * 1000000)::bigint, conflicts
  FROM pgcharter.append_events($1, $2, $3, $4, string_to_array($5, E'\n'), string_to_array($6, E'\n')::jsonb[], $7, $8, $9, $10, $11, $12,
                               $13, $14)

-- name: of_aggregate
l.aggregate_id = %(id)s AND l.aggregate_type = %(type)s AND l.tenant = COALESCE(current_setting('pgcharter.tenant', true), '')
AND l.event_version > %(after)s AND l.event_version <= %(upto)s

-- name: aggregate_as_of
AND l.event_version < COALESCE((
    SELECT min(l.event_version) FROM {tables}
     WHERE l.aggregate_id = %(id)s AND l.aggregate_type = %(type)s AND l.tenant = COALESCE(current_setting('pgcharter.tenant', true), '')
       AND l.created_at > %(as_of)s), 2147483647)

-- name: archived
SELECT h.archived, h.version FROM pgcharter.event_heads h
 WHERE h.aggregate_id = %(id)s AND h.aggregate_type = %(type)s AND h.tenant = COALESCE(current_setting('pgcharter.tenant', true), '')

-- name: version
SELECT h.version FROM pgcharter.event_heads h
 WHERE h.aggregate_id = %(id)s AND h.aggregate_type = %(type)s AND h.tenant = COALESCE(current_setting('pgcharter.tenant', true), '')

-- name: archives
SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c
 WHERE c.relnamespace = 'pgcharter'::pg_catalog.regnamespace AND c.relkind = 'r' AND c.relname ~ '^events_archive_\d{4}_\d{2}$'
 ORDER BY c.relname

-- name: of_all
l.position > %(after)s AND l.position <= %(upto)s

-- name: one_category
AND l.aggregate_type = %(category)s

-- name: categories
AND l.aggregate_type = ANY(%(categories)s)

-- name: types
AND l.event_type = ANY(%(types)s)

-- name: of_tenant
AND l.tenant = %(tenant)s

-- name: as_of
AND l.created_at <= %(as_of)s

-- name: snapshot
SELECT version, snapshot_type, schema_version, data::text, created_at FROM pgcharter.event_snapshots
 WHERE aggregate_id = %(id)s AND aggregate_type = %(type)s AND tenant = COALESCE(current_setting('pgcharter.tenant', true), '')

-- name: keep_snapshot
INSERT INTO pgcharter.event_snapshots AS s (aggregate_type, aggregate_id, version, snapshot_type, schema_version, data)
VALUES (%(type)s, %(id)s, %(version)s, %(kind)s, %(schema)s, %(data)s)
ON CONFLICT ON CONSTRAINT event_snapshots_pkey DO UPDATE
   SET version = excluded.version, snapshot_type = excluded.snapshot_type, schema_version = excluded.schema_version, data = excluded.data,
       created_at = excluded.created_at
 WHERE excluded.version >= s.version

-- name: forget_snapshots
DELETE FROM pgcharter.event_snapshots WHERE aggregate_type = %(type)s
