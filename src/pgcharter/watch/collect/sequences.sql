-- Sequences by what they can still give, and by what fits into the column they fill: the lesser.

-- name: sequences
WITH found AS (
    SELECT s.seqrelid, c.relname, n.nspname, s.seqmax, s.seqmin, s.seqstart, s.seqincrement, s.seqcycle,

           CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT') THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last,
           pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT') AS seen,
           fills.relation, fills.attname, fills.atttypid
      FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN LATERAL (
            SELECT pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname) AS relation, a.attname, a.atttypid
              FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class t ON t.oid = d.refobjid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
              JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
               AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
             LIMIT 1) fills ON true
     WHERE c.relpersistence <> 't'),
sized AS (
    SELECT f.*, CASE f.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 END::numeric AS fits
      FROM found f)
SELECT pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname) AS sequence, last, most, used_percent::float8, column_percent::float8,
       relation || '.' || pg_catalog.quote_ident(attname) AS column, atttypid::regtype::text AS type, NULL::text AS unseen
  FROM (SELECT s.*, CASE WHEN seqincrement > 0 THEN seqmax ELSE seqmin END AS most,
               CASE WHEN NOT seqcycle THEN 100.0 * CASE WHEN seqincrement > 0 THEN (last - seqmin::numeric) / nullif(seqmax::numeric - seqmin, 0)
                                                        ELSE (seqmax::numeric - last) / nullif(seqmax::numeric - seqmin, 0) END END AS used_percent,
               CASE WHEN seqincrement > 0 AND fits < seqmax THEN 100.0 * last / fits END AS column_percent
          FROM sized s WHERE seen) x
 WHERE last IS NOT NULL AND (used_percent >= 10 OR column_percent >= 10)
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       count(*) || ' sequences of database ' || pg_catalog.quote_ident(pg_catalog.current_database()) || ' do not say how far they are to role '
       || pg_catalog.quote_ident(current_user) || ': GRANT SELECT ON ALL SEQUENCES IN SCHEMA ' || pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(nspname), ', ')
       || ' TO ' || pg_catalog.quote_ident(current_user)
  FROM found WHERE NOT seen HAVING count(*) > 0
 ORDER BY used_percent DESC NULLS LAST LIMIT 50
