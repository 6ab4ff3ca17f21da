-- name: there
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'pgcharter' AND c.relname = 'evidence'
                  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))

-- name: newest
SELECT name, holds, seen, proven_at, counts_until, facts
FROM (SELECT *, row_number() OVER (PARTITION BY name ORDER BY proven_at DESC) AS nth FROM pgcharter.evidence) AS e
WHERE nth = 1 AND (%(names)s::text[] IS NULL OR name = ANY (%(names)s))
ORDER BY name

-- name: history
SELECT name, holds, seen, proven_at, counts_until, facts
FROM pgcharter.evidence
WHERE name = %(name)s
ORDER BY proven_at DESC
LIMIT %(most)s

-- name: record
INSERT INTO pgcharter.evidence (name, holds, seen, proven_at, counts_until, facts)
SELECT n.name, n.holds, n.seen, n.proven_at, n.counts_until, n.facts
FROM jsonb_to_recordset(%(all)s::jsonb)
     AS n(name text, holds boolean, seen text, proven_at timestamptz, counts_until timestamptz, facts jsonb)
LEFT JOIN LATERAL (
  SELECT * FROM pgcharter.evidence AS e WHERE e.name = n.name AND e.proven_at <= n.proven_at ORDER BY e.proven_at DESC LIMIT 1
) AS last ON true
WHERE last.name IS NULL OR last.holds <> n.holds OR last.proven_at < n.proven_at - %(anew)s::interval
ON CONFLICT DO NOTHING

-- name: scored
INSERT INTO pgcharter.scores (guide, holds, broken, unproven, waived, clauses)
VALUES (%(guide)s, %(holds)s, %(broken)s, %(unproven)s, %(waived)s, %(clauses)s::jsonb)

-- name: scores
SELECT scored_at, holds, broken, unproven, waived, clauses
FROM pgcharter.scores
WHERE guide = %(guide)s
ORDER BY scored_at DESC
LIMIT %(most)s
