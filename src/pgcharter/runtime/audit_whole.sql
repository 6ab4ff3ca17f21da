WITH entries AS MATERIALIZED (
  SELECT operation, key, coalesce(new_key, key) AS afterwards FROM pgcharter.audit_log
   WHERE table_schema = %(schema)s AND table_name = %(name)s AND changed_at > %(at)s
     AND (month >= date_trunc('month', (%(at)s::timestamptz - interval '1 hour') AT TIME ZONE 'UTC')::date OR month < '2000-01-01')
     AND operation <> 'SCHEMA' AND key IS NOT NULL
), images AS (
  -- Rows without a key are told by what they hold: so many as there are now, without those that came and with those that went.
  SELECT to_jsonb(t) - %(left_out)s::text[]
           || coalesce((SELECT jsonb_object_agg(m, '***') FROM unnest(%(masked)s::text[]) m WHERE to_jsonb(t)->m <> 'null'), '{}') AS image,
         1 AS weight
    FROM {{table}} t
  UNION ALL SELECT key, 1 FROM entries WHERE operation <> 'INSERT'
  UNION ALL SELECT afterwards, -1 FROM entries WHERE operation IN ('INSERT', 'UPDATE')
)
SELECT image FROM (SELECT image, sum(weight) AS times FROM images GROUP BY image) i CROSS JOIN generate_series(1, i.times)
