-- name: months
SELECT c.relname, CASE WHEN i.inhparent IS NULL THEN 'archived' ELSE 'here' END, CASE WHEN c.reltuples > 0 THEN c.reltuples WHEN pg_catalog.pg_relation_size(c.oid) = 0 THEN 0 END::bigint,
       pg_catalog.pg_total_relation_size(c.oid)
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'pgcharter.events'::pg_catalog.regclass
 WHERE c.relnamespace = 'pgcharter'::pg_catalog.regnamespace AND c.relkind = 'r'
   AND (i.inhparent IS NOT NULL OR c.relname ~ '^events_archive_\d{4}_\d{2}$')
 ORDER BY 1

-- name: totals
SELECT (SELECT CASE WHEN reltuples > 0 THEN reltuples WHEN pg_catalog.pg_relation_size(oid) = 0 THEN 0 END::bigint FROM pg_catalog.pg_class WHERE oid = 'pgcharter.event_heads'::pg_catalog.regclass),
       (SELECT count(*) FROM pgcharter.events_unplaced), COALESCE(pg_catalog.pg_sequence_last_value('pgcharter.events_position'), 0),
       (SELECT COALESCE(max(kept_from), 0) FROM pgcharter.logs WHERE log = 'events')

-- name: settled
SELECT pgcharter.settled('events')

-- name: lock
LOCK TABLE pgcharter.events, {month} IN ACCESS EXCLUSIVE MODE

-- name: last
SELECT COALESCE(max(position), 0), count(*) FROM {month}

-- name: behind
SELECT consumer, min(position) FROM pgcharter.feeds WHERE log = 'events' AND position < %s GROUP BY consumer ORDER BY 1

-- name: heads
UPDATE pgcharter.event_heads h SET archived = greatest(h.archived, m.version)
  FROM (SELECT aggregate_id, aggregate_type, tenant, max(event_version) FROM {month} GROUP BY 1, 2, 3) m (id, type, tenant, version)
 WHERE h.aggregate_id = m.id AND h.aggregate_type = m.type AND h.tenant = m.tenant

-- name: kept
INSERT INTO pgcharter.logs (log, kept_from) VALUES ('events', %s)
ON CONFLICT (log) DO UPDATE SET kept_from = greatest(pgcharter.logs.kept_from, excluded.kept_from)

-- name: detach
ALTER TABLE pgcharter.events DETACH PARTITION {month}

-- name: rename
ALTER TABLE {month} RENAME TO {archive}

-- name: guard
CREATE OR REPLACE TRIGGER events_guard_rows BEFORE UPDATE OR DELETE ON pgcharter.{archive}
   FOR EACH ROW EXECUTE FUNCTION pgcharter.events_guard()

-- Whoever may read events may read those that are archived, under the same row policies.
-- name: rights
DO $do$
DECLARE
    said record;
BEGIN
    FOR said IN SELECT DISTINCT a.grantee::pg_catalog.regrole AS role
                  FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
                 WHERE c.oid = 'pgcharter.events'::pg_catalog.regclass AND a.privilege_type = 'SELECT' AND a.grantee <> 0
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON pgcharter.{archive} TO %s', said.role);
    END LOOP;
    FOR said IN SELECT p.polname AS name, pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS seen,
                       (SELECT pg_catalog.string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::pg_catalog.regrole::text END, ', ')
                          FROM unnest(p.polroles) r) AS roles
                  FROM pg_catalog.pg_policy p WHERE p.polrelid = 'pgcharter.events'::pg_catalog.regclass
    LOOP
        EXECUTE pg_catalog.format('CREATE POLICY %I ON pgcharter.{archive} TO %s USING (%s)', said.name, said.roles, said.seen);
        ALTER TABLE pgcharter.{archive} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    END LOOP;
END
$do$
