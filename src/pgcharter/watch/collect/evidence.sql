-- The newest proof of each promise.

-- name: evidence
SELECT DISTINCT ON (name) name AS proof, (NOT holds)::int AS disproved, pg_catalog.left(seen, 120) AS seen,
       pg_catalog.to_char(proven_at, 'YYYY-MM-DD HH24:MI') AS at,
       CASE WHEN holds THEN extract(epoch FROM pg_catalog.clock_timestamp() - counts_until)::float8 END AS stale_seconds
  FROM pgcharter.evidence
 WHERE NOT name LIKE 'health.%' AND NOT (name LIKE 'business.%' AND pg_catalog.to_regclass('pgcharter.business_results') IS NOT NULL)
 ORDER BY name, proven_at DESC
