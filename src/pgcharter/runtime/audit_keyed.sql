WITH entries AS MATERIALIZED (
  SELECT number, operation, key, new_key, old FROM pgcharter.audit_log
   WHERE table_schema = %(schema)s AND table_name = %(name)s AND changed_at > %(at)s
     AND (month >= date_trunc('month', (%(at)s::timestamptz - interval '1 hour') AT TIME ZONE 'UTC')::date OR month < '2000-01-01')
     AND operation <> 'SCHEMA' AND key IS NOT NULL
), events AS (
  -- A row that gets another key goes under the one and comes under the other.
  SELECT number, key, CASE WHEN operation = 'INSERT' THEN 'comes' WHEN operation <> 'UPDATE' OR new_key IS NOT NULL THEN 'goes' END AS what, old
    FROM entries
  UNION ALL
  SELECT number, new_key, 'comes', NULL FROM entries WHERE new_key IS NOT NULL
), keys AS (
  SELECT key, (array_agg(coalesce(what, '') ORDER BY number))[1] = 'comes' AS new, min(number) FILTER (WHERE what = 'goes') AS gone,
         (array_agg(old ORDER BY number))[1] AS whole
    FROM events GROUP BY key
), olds AS (
  SELECT DISTINCT ON (e.key, c.key) e.key, c.key AS name, c.value
    FROM events e JOIN keys k ON k.key = e.key CROSS JOIN jsonb_each(e.old) c
   WHERE NOT k.new AND (k.gone IS NULL OR e.number <= k.gone)
   ORDER BY e.key, c.key, e.number
), before AS (
  SELECT key, jsonb_object_agg(name, value) AS old FROM olds GROUP BY key
), present AS (
  SELECT (SELECT jsonb_object_agg(k, to_jsonb(t)->k) FROM unnest(%(key)s::text[]) k) AS key,
         to_jsonb(t) - %(left_out)s::text[]
           || coalesce((SELECT jsonb_object_agg(m, '***') FROM unnest(%(masked)s::text[]) m WHERE to_jsonb(t)->m <> 'null'), '{}') AS image
    FROM {{table}} t
)
-- A whole row (one with its key) says all that there was, whatever became of the columns since.
SELECT CASE WHEN k.key IS NULL THEN p.image WHEN k.whole ?& %(key)s::text[] THEN k.whole WHEN k.gone IS NULL THEN p.image || b.old ELSE b.old END
  FROM present p FULL JOIN keys k ON k.key = p.key LEFT JOIN before b ON b.key = k.key
 WHERE k.key IS NULL OR (NOT k.new AND (k.gone IS NOT NULL OR p.key IS NOT NULL))
