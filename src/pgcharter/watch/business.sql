-- Results of business rules: what was measured, and what is known from before. The owner alone removes what is too old.

-- name: there
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'pgcharter' AND c.relname = 'business_results')

-- name: record
INSERT INTO pgcharter.business_results
       (rule, checked_at, state, value, threshold, direction, unit, period, title, owner, problem, facts, seconds)
SELECT n.rule, n.checked_at, n.state, n.value, n.threshold, n.direction, n.unit, n.period, n.title, n.owner, n.problem, n.facts, n.seconds
  FROM jsonb_to_recordset(%(all)s::jsonb)
       AS n(rule text, checked_at timestamptz, state text, value float8, threshold float8, direction text, unit text, period text,
            title text, owner text, problem text, facts jsonb, seconds float8)
    ON CONFLICT DO NOTHING

-- name: may_remove
SELECT has_table_privilege('pgcharter.business_results', 'DELETE')

-- name: remove
DELETE FROM pgcharter.business_results WHERE checked_at < now() - %(keep)s::interval

-- name: history
SELECT rule, checked_at, state, value, threshold, direction, unit, period, title, owner, problem, facts, seconds
  FROM pgcharter.business_results
 WHERE rule = %(rule)s
 ORDER BY checked_at DESC
 LIMIT %(most)s

-- name: before
SELECT r.rule, p.mean, s.since, l.state, l.checked_at
  FROM unnest(%(rules)s::text[]) AS r(rule)
 CROSS JOIN LATERAL (SELECT h.state, h.checked_at FROM pgcharter.business_results AS h
                      WHERE h.rule = r.rule AND h.checked_at < %(now)s ORDER BY h.checked_at DESC LIMIT 1) AS l
 CROSS JOIN LATERAL (SELECT avg(v.value) AS mean
                       FROM (SELECT h.value FROM pgcharter.business_results AS h
                              WHERE h.rule = r.rule AND h.checked_at < %(now)s AND h.value IS NOT NULL
                              ORDER BY h.checked_at DESC LIMIT %(most)s) AS v) AS p
 CROSS JOIN LATERAL (SELECT min(h.checked_at) AS since FROM pgcharter.business_results AS h
                      WHERE h.rule = r.rule AND h.checked_at < %(now)s
                        AND h.checked_at > coalesce((SELECT max(o.checked_at) FROM pgcharter.business_results AS o
                                                      WHERE o.rule = r.rule AND o.checked_at < %(now)s AND o.state <> l.state),
                                                    '-infinity')) AS s
