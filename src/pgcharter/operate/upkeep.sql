-- What upkeep is planned from. Fixed numbers of queries, whatever the number of tables.

-- name: server
SELECT pg_catalog.current_database(), current_user::text, pg_catalog.pg_is_in_recovery(), pg_catalog.clock_timestamp(),
       (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgstattuple'),
       EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_repack'),
       pg_catalog.current_setting('block_size')::int,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
           AND backend_xmin IS NOT NULL AND xact_start < pg_catalog.now() - interval '10 minutes')

-- Thresholds are autovacuum's, those of the table where it has its own. Only tables with something to do; a handful of rows needs no statistics.
-- name: tables
WITH defaults AS MATERIALIZED (
    SELECT pg_catalog.current_setting('autovacuum_vacuum_threshold')::float8 AS vt, pg_catalog.current_setting('autovacuum_vacuum_scale_factor')::float8 AS vs,
           {{since 18: pg_catalog.current_setting('autovacuum_vacuum_max_threshold')::float8 otherwise (-1)::float8}} AS vm,
           pg_catalog.current_setting('autovacuum_vacuum_insert_threshold')::float8 AS it, pg_catalog.current_setting('autovacuum_vacuum_insert_scale_factor')::float8 AS isf,
           pg_catalog.current_setting('autovacuum_analyze_threshold')::float8 AS at, pg_catalog.current_setting('autovacuum_analyze_scale_factor')::float8 AS asf,
           pg_catalog.current_setting('autovacuum_freeze_max_age')::float8 AS fx, pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::float8 AS fm),
tables AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relowner, greatest(c.reltuples, 0) AS rows, c.reltuples, c.relpages::bigint AS pages,
           CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest(pg_catalog.age(c.relfrozenxid), CASE WHEN t.oid IS NOT NULL THEN pg_catalog.age(t.relfrozenxid) END) END AS xids,
           CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest(pg_catalog.mxid_age(c.relminmxid), CASE WHEN t.oid IS NOT NULL THEN pg_catalog.mxid_age(t.relminmxid) END) END AS mxids,
           (SELECT pg_catalog.jsonb_object_agg(option_name, option_value) FROM pg_catalog.pg_options_to_table(c.reloptions)) AS o,
           pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead, pg_catalog.pg_stat_get_live_tuples(c.oid) AS live,
           pg_catalog.pg_stat_get_ins_since_vacuum(c.oid) AS inserted, pg_catalog.pg_stat_get_mod_since_analyze(c.oid) AS changed
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_toast'
       AND (c.relkind <> 'm' OR c.relispopulated)),
judged AS (
    SELECT t.*,
           coalesce((o ->> 'autovacuum_vacuum_threshold')::float8, vt) + coalesce((o ->> 'autovacuum_vacuum_scale_factor')::float8, vs) * rows AS dead_from,
           coalesce((o ->> 'autovacuum_vacuum_max_threshold')::float8, vm) AS dead_most,
           CASE WHEN coalesce((o ->> 'autovacuum_vacuum_insert_threshold')::float8, it) >= 0
                THEN coalesce((o ->> 'autovacuum_vacuum_insert_threshold')::float8, it) + coalesce((o ->> 'autovacuum_vacuum_insert_scale_factor')::float8, isf) * rows END AS inserted_from,
           coalesce((o ->> 'autovacuum_analyze_threshold')::float8, at) + coalesce((o ->> 'autovacuum_analyze_scale_factor')::float8, asf) * rows AS changed_from,
           100.0 * greatest(xids / least(coalesce((o ->> 'autovacuum_freeze_max_age')::float8, fx), fx), mxids / least(coalesce((o ->> 'autovacuum_multixact_freeze_max_age')::float8, fm), fm)) AS freeze_percent
      FROM tables t, defaults)
SELECT pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname), relkind::text, pages, live, dead, inserted, changed, xids::bigint,
       dead / greatest(CASE WHEN dead_most >= 0 THEN least(dead_from, dead_most) ELSE dead_from END, 1),
       coalesce(inserted / greatest(inserted_from, 1), 0), changed / greatest(changed_from, 1), coalesce(freeze_percent, 0)::float8,
       reltuples < 0 AND (relkind = 'p' OR pages > 10 OR live >= changed_from), coalesce(NOT (o ->> 'autovacuum_enabled')::boolean, false),
       pg_catalog.pg_has_role(relowner, 'USAGE') {{since 17: OR pg_catalog.has_table_privilege(oid, 'MAINTAIN') otherwise }}, nspname = 'pg_catalog'
  FROM judged
 WHERE (nspname <> 'pg_catalog' OR freeze_percent >= %(freeze)s OR dead >= %(dead_least)s)
   AND (freeze_percent >= %(freeze)s OR reltuples < 0 AND (relkind = 'p' OR pages > 10 OR live >= changed_from) OR dead > greatest(dead_from, 1) * least(%(dead)s, 1) OR (dead_most >= 0 AND dead > dead_most)
        OR inserted > inserted_from OR changed > changed_from)
   AND (relkind <> 'p' OR reltuples < 0)
 ORDER BY freeze_percent DESC, dead DESC, changed DESC LIMIT 500

-- An index that is being built is not wrong. kind: x cannot be built anew beside the old one; I is partitioned.
-- name: invalid
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname),
       c.relname ~ '_cc(new|old)[0-9]*$', CASE WHEN c.relkind = 'I' THEN 'I' WHEN i.indisexclusion THEN 'x' ELSE 'i' END, pg_catalog.pg_relation_size(c.oid),
       pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       pg_catalog.pg_has_role(c.relowner, 'USAGE') {{since 17: OR pg_catalog.has_table_privilege(t.oid, 'MAINTAIN') otherwise }}, n.nspname ~ '^pg_toast'
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relpersistence <> 't'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.relid = t.oid)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.relation = t.oid AND l.mode = 'ShareUpdateExclusiveLock'
                      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
 ORDER BY 1 LIMIT 200

-- Leaf pages that rows of this width would take at the index's fillfactor: 16 bytes a page for its end, 24 for its head; 8 a row, 4 for its pointer,
-- widths rounded up to 8. Equal keys share their space since 13, so this is rather too much, and what it says is wasted too little.
-- name: indexes
WITH large AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey, i.indnatts, i.indisexclusion, c.relname, n.nspname, c.relpages::bigint AS pages, greatest(c.reltuples, 0) AS rows, t.relname AS table_name, c.relowner, t.oid AS table_oid,
           coalesce((SELECT option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 90) AS fill
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am a ON a.oid = c.relam
      JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
       AND c.relpages >= %(pages)s AND t.reltuples >= 0),
stats AS MATERIALIZED (
    SELECT schemaname, tablename, attname, avg_width, null_frac FROM pg_catalog.pg_stats
     WHERE NOT inherited AND (schemaname, tablename) IN (SELECT nspname, relname FROM large UNION SELECT nspname, table_name FROM large)),
widths AS (
    SELECT l.indexrelid, sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE s.avg_width END * (1 - coalesce(s.null_frac, 0))) AS width,
           pg_catalog.bool_and(s.avg_width IS NOT NULL OR a.attlen > 0) AS known
      FROM large l CROSS JOIN LATERAL pg_catalog.generate_subscripts(l.indkey, 1) k(n)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = l.indexrelid AND a.attnum = k.n + 1
      LEFT JOIN pg_catalog.pg_attribute b ON b.attrelid = l.indrelid AND b.attnum = l.indkey[k.n] AND l.indkey[k.n] <> 0
      LEFT JOIN stats s ON s.schemaname = l.nspname AND s.tablename = CASE WHEN b.attnum IS NULL THEN l.relname ELSE l.table_name END
                                     AND s.attname = coalesce(b.attname, a.attname)
     GROUP BY l.indexrelid)
SELECT pg_catalog.quote_ident(l.nspname) || '.' || pg_catalog.quote_ident(l.relname), pg_catalog.quote_ident(l.nspname) || '.' || pg_catalog.quote_ident(l.table_name), l.indexrelid::bigint, l.pages, l.fill,
       CASE WHEN w.known THEN greatest(0, 100.0 * (1 - pg_catalog.ceil(l.rows * (12 + pg_catalog.ceil(w.width / 8.0) * 8) / ((%(block)s - 40) * l.fill / 100.0) + 1) / l.pages))::float8 END,
       l.indisexclusion, pg_catalog.pg_has_role(l.relowner, 'USAGE') {{since 17: OR pg_catalog.has_table_privilege(l.table_oid, 'MAINTAIN') otherwise }}
  FROM large l JOIN widths w USING (indexrelid) ORDER BY l.pages DESC LIMIT 2000

-- Pages that rows of this width would take: 28 bytes a row with its pointer, widths rounded up to 8.
-- name: heaps
WITH large AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relpages::bigint AS pages, greatest(c.reltuples, 0) AS rows,
           coalesce((SELECT option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100) AS fill
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relpages >= %(pages)s AND c.reltuples >= 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')),
stats AS MATERIALIZED (
    SELECT schemaname, tablename, attname, avg_width, null_frac FROM pg_catalog.pg_stats
     WHERE NOT inherited AND (schemaname, tablename) IN (SELECT nspname, relname FROM large)),
widths AS (
    SELECT l.oid, sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE s.avg_width END * (1 - coalesce(s.null_frac, 0))) AS width, pg_catalog.bool_and(s.avg_width IS NOT NULL OR a.attlen > 0) AS known
      FROM large l JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN stats s ON s.schemaname = l.nspname AND s.tablename = l.relname AND s.attname = a.attname
     GROUP BY l.oid)
SELECT pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname), oid::bigint, pages, fill,
       CASE WHEN known THEN greatest(0, 100.0 * (1 - pg_catalog.ceil(rows * (28 + pg_catalog.ceil(width / 8.0) * 8) / ((%(block)s - 24) * fill / 100.0) + 1) / pages))::float8 END
  FROM large JOIN widths USING (oid) ORDER BY pages DESC LIMIT 2000

-- name: views
SELECT c.oid::bigint, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.relkind::text, c.relispopulated, c.relpages::bigint,
       (SELECT pg_catalog.array_agg(DISTINCT d.refobjid::bigint) FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
          WHERE r.ev_class = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> c.oid),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND 0 <> ALL (i.indkey)),
       pg_catalog.pg_has_role(c.relowner, 'USAGE') {{since 17: OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') otherwise }}
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'm')

-- Rows ever written by table; a partitioned table is its partitions.
-- name: written
WITH RECURSIVE parts AS (
    SELECT o AS root, o AS oid FROM pg_catalog.unnest(%(tables)s::oid[]) o
    UNION SELECT p.root, h.inhrelid FROM parts p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.oid)
SELECT p.root::bigint, sum(pg_catalog.pg_stat_get_tuples_inserted(p.oid) + pg_catalog.pg_stat_get_tuples_updated(p.oid) + pg_catalog.pg_stat_get_tuples_deleted(p.oid))::bigint,
       pg_catalog.bool_or(c.relkind = 'f'), pg_catalog.string_agg(pg_catalog.pg_relation_filenode(p.oid)::text, ' ' ORDER BY p.oid)
  FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.oid GROUP BY p.root

-- name: advice
SELECT 'sequence', relation, pg_catalog.round(used) || ' %% of what its column or itself can give is used', 'ALTER TABLE ' || relation || ' ALTER COLUMN ' || column_name || ' TYPE bigint'
  FROM (SELECT coalesce(pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname), pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)) AS relation,
               coalesce(pg_catalog.quote_ident(a.attname), '') AS column_name,
               100.0 * CASE WHEN c.relkind = 'S' THEN pg_catalog.pg_sequence_last_value(c.oid) END / least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE s.seqmax END) AS used
          FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
          LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         WHERE NOT s.seqcycle AND s.seqincrement > 0 AND CASE WHEN c.relkind = 'S' AND c.relpersistence <> 't' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT') ELSE false END) x
 WHERE used >= %(sequence)s
UNION ALL
SELECT 'wraparound', pg_catalog.quote_ident(datname), 'its oldest row is ' || pg_catalog.age(datfrozenxid) || ' transactions old', 'vacuumdb --freeze --jobs 4 ' || pg_catalog.quote_ident(datname)
  FROM pg_catalog.pg_database WHERE datname <> pg_catalog.current_database() AND 100.0 * pg_catalog.age(datfrozenxid) / pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint >= greatest(%(freeze)s, 100)
UNION ALL
SELECT 'constraint', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname), 'constraint ' || pg_catalog.quote_ident(c.conname) || ' was never held against the rows from before it',
       'ALTER TABLE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) || ' VALIDATE CONSTRAINT ' || pg_catalog.quote_ident(c.conname)
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
 WHERE NOT c.convalidated AND c.conparentid = 0 {{since 18: AND c.conenforced otherwise }}
UNION ALL
SELECT 'temporary', pg_catalog.quote_ident(n.nspname), 'its session has gone, and ' || count(*) || ' tables of it are left (' || pg_catalog.pg_size_pretty(sum(pg_catalog.pg_total_relation_size(c.oid))) || ')',
       'DROP SCHEMA ' || pg_catalog.quote_ident(n.nspname) || ' CASCADE'
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relpersistence = 't' AND c.relkind = 'r' AND n.nspname ~ '^pg_temp_[0-9]+$'
   AND {{since 16: pg_catalog.substring(n.nspname, 9)::int NOT IN (SELECT pg_catalog.pg_stat_get_backend_idset()) otherwise NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid())}}
 GROUP BY n.nspname
ORDER BY 1, 2 LIMIT 200

-- name: confirm_index
SELECT CASE WHEN index_size = 0 THEN 0 ELSE 100.0 * (1 - least(1, leaf_pages * greatest(CASE WHEN avg_leaf_density = 'NaN' THEN 0 ELSE avg_leaf_density END, 0) / %(fill)s / greatest(index_size / %(block)s - 1 - internal_pages, 1))) END::float8
  FROM {schema}.pgstatindex(%(oid)s::oid::regclass)

-- name: confirm_heap
SELECT (approx_free_percent + dead_tuple_percent - (100 - %(fill)s))::float8 FROM {schema}.pgstattuple_approx(%(oid)s::oid::regclass)
