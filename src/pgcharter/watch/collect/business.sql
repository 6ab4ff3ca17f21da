-- The newest result of each business rule.

-- name: business
SELECT DISTINCT ON (rule) rule, value AS measured, threshold, (state = 'non_compliant')::int AS broken, (state = 'no_data')::int AS without_data,
       (state = 'failed')::int AS failed, extract(epoch FROM pg_catalog.clock_timestamp() - checked_at)::float8 AS silent_seconds,
       pg_catalog.left(title, 120) AS title, direction, unit, coalesce(nullif(owner, ''), 'its owner') AS owner,
       pg_catalog.left(problem, 200) AS problem
  FROM pgcharter.business_results
 WHERE checked_at > pg_catalog.clock_timestamp() - interval '7 days'
 ORDER BY rule, checked_at DESC
