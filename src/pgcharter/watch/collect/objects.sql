-- Objects of the database that is asked. Everything in one pass over a catalog, and only what is wrong.

-- An index that is being built, or a partitioned one that waits for its parts, is not wrong.
-- name: invalid_indexes
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS index, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) AS relation,
       CASE WHEN c.relname ~ '_cc(new|old)[0-9]*$' THEN 0 ELSE 1 END AS invalid, CASE WHEN c.relname ~ '_cc(new|old)[0-9]*$' THEN 1 ELSE 0 END AS leftover
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.relid = t.oid)
 ORDER BY 1 LIMIT 50

-- name: unvalidated
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) || '.' || pg_catalog.quote_ident(c.conname) AS constraint,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) AS relation, pg_catalog.quote_ident(c.conname) AS name, 1 AS not_valid
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
 WHERE NOT c.convalidated AND c.conparentid = 0 {{since 18: AND c.conenforced otherwise }}
 ORDER BY 1 LIMIT 50

-- name: disabled_triggers
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation,
       pg_catalog.quote_ident(coalesce(k.conname, g.tgname)) AS trigger, max((NOT g.tgisinternal)::int) AS switched_off, max(g.tgisinternal::int) AS keys_off
  FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_constraint k ON k.oid = g.tgconstraint AND g.tgisinternal
 WHERE g.tgenabled = 'D' AND (NOT g.tgisinternal OR k.contype = 'f' {{since 18: AND k.conenforced otherwise }})
 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 50

-- name: disabled_event_triggers
SELECT pg_catalog.quote_ident(evtname) AS trigger, 1 AS event_off FROM pg_catalog.pg_event_trigger WHERE evtenabled = 'D' ORDER BY 1

-- name: unlogged
SELECT count(*) AS unlogged_tables, pg_catalog.left(pg_catalog.string_agg(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), ', ' ORDER BY c.relpages DESC, c.relname), 120) AS names
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND n.nspname !~ '^pg_' HAVING count(*) > 0

-- name: unpopulated
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation, 1 AS unpopulated
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' AND NOT c.relispopulated ORDER BY 1 LIMIT 50

-- name: extensions
SELECT pg_catalog.quote_ident(e.extname) AS extension, e.extversion AS installed, a.default_version AS available, 1 AS outdated
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
 WHERE e.extversion <> a.default_version
   AND EXISTS (SELECT FROM pg_catalog.pg_extension_update_paths(e.extname) p WHERE p.source = e.extversion AND p.target = a.default_version AND p.path IS NOT NULL)
 ORDER BY 1

-- name: collations
SELECT 'the collation of database ' || pg_catalog.quote_ident(datname) AS collation, datcollversion AS was, pg_catalog.pg_database_collation_actual_version(oid) AS now,
       'ALTER DATABASE ' || pg_catalog.quote_ident(datname) || ' REFRESH COLLATION VERSION' AS refresh, 1 AS changed
  FROM pg_catalog.pg_database
 WHERE datname = pg_catalog.current_database() AND datcollversion <> pg_catalog.pg_database_collation_actual_version(oid)
UNION ALL
SELECT 'collation ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname), c.collversion, pg_catalog.pg_collation_actual_version(c.oid),
       'ALTER COLLATION ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname) || ' REFRESH VERSION', 1
  FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
 WHERE c.collversion <> pg_catalog.pg_collation_actual_version(c.oid)
   AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_collation'::regclass AND d.refobjid = c.oid AND d.classid = 'pg_catalog.pg_class'::regclass)

-- name: broken_databases
SELECT pg_catalog.quote_ident(datname) AS of, 1 AS broken FROM pg_catalog.pg_database WHERE datconnlimit = -2 ORDER BY 1

-- Tables by time whose last partition ended long ago are history: nobody waits for the next one.
-- name: partitions
WITH parents AS (
    SELECT p.partrelid AS oid, p.partstrat, p.partdefid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation,
           (SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]) AS of_type
      FROM pg_catalog.pg_partitioned_table p JOIN pg_catalog.pg_class c ON c.oid = p.partrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace),
bounds AS MATERIALIZED (
    SELECT h.inhparent, h.inhrelid, h.inhdetachpending,
           CASE WHEN p.partstrat = 'r' AND p.of_type IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
                THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END AS bound
      FROM parents p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.oid JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
     WHERE p.partstrat = 'r' AND p.of_type IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) OR h.inhdetachpending),
edges AS (
    SELECT inhparent, low, CASE WHEN pg_catalog.isfinite(high) THEN high END AS high, endless OR NOT pg_catalog.isfinite(high) AS endless
      FROM (SELECT inhparent, pg_catalog.substring(bound, 'FROM \(''([^'']+)''')::timestamptz AS low,
                   pg_catalog.substring(bound, 'TO \(''([^'']+)''')::timestamptz AS high, bound LIKE '%%TO (MAXVALUE%%' AS endless
              FROM bounds WHERE bound LIKE 'FOR VALUES FROM%%') b),
ends AS (
    SELECT inhparent, max(high) AS high, pg_catalog.bool_or(endless) AS endless, (pg_catalog.array_agg(CASE WHEN pg_catalog.isfinite(low) THEN high - low END ORDER BY high DESC NULLS LAST))[1] AS width
      FROM edges GROUP BY inhparent)
SELECT p.relation, e.high::text AS upto,
       CASE WHEN e.high IS NOT NULL AND NOT e.endless AND extract(epoch FROM e.width) > 0 AND e.high > now_ - 10 * e.width
            THEN pg_catalog.floor(extract(epoch FROM e.high - now_) / extract(epoch FROM e.width))::float8 END AS partitions_ahead,
       pg_catalog.quote_ident(dn.nspname) || '.' || pg_catalog.quote_ident(d.relname) AS default_partition,
       CASE WHEN d.oid IS NOT NULL THEN greatest(pg_catalog.pg_stat_get_live_tuples(d.oid), d.reltuples::bigint, 0) END AS default_rows,
       (SELECT count(*) FROM bounds b WHERE b.inhparent = p.oid AND b.inhdetachpending) AS detaching,
       (SELECT pg_catalog.string_agg(b.inhrelid::regclass::text, ', ') FROM bounds b WHERE b.inhparent = p.oid AND b.inhdetachpending) AS detaching_names
  FROM (SELECT coalesce(%(now)s::timestamptz, pg_catalog.clock_timestamp()) AS now_) n, parents p
  LEFT JOIN ends e ON e.inhparent = p.oid
  LEFT JOIN pg_catalog.pg_class d ON d.oid = p.partdefid LEFT JOIN pg_catalog.pg_namespace dn ON dn.oid = d.relnamespace
 ORDER BY partitions_ahead NULLS LAST, p.relation LIMIT 200
