-- What a look at rows asks. Names are put in quoted; only counts come back.

-- name: prepare
-- With row_security off PostgreSQL refuses where row policies would hide rows, instead of showing a part and running their functions.
select pg_catalog.set_config(s.name, s.value, true)
  from (values ('transaction_read_only', 'on'), ('row_security', 'off'), ('search_path', 'pg_catalog, pg_temp'), ('jit', 'off'),
               ('work_mem', '32MB'), ('max_parallel_workers_per_gather', '0'), ('lock_timeout', '500ms'),
               ('statement_timeout', %s), ('idle_in_transaction_session_timeout', '60s'))
       as s (name, value)

-- name: columns
-- Fractions and counts of columns; the frequency of the most common value without the value. Joined to nothing, for speed.
select s.schemaname, s.tablename, s.attname, s.inherited, s.n_distinct, s.null_frac, coalesce(s.most_common_freqs[1], 0)
  from pg_catalog.pg_stats s
 where s.schemaname !~ '^pg_' and s.schemaname <> 'information_schema'

-- name: unreadable
select n.nspname, c.relname, a.attname
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relkind in ('r', 'p') and not c.relispartition
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and (not pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') or pg_catalog.row_security_active(c.oid)
          or not pg_catalog.has_schema_privilege(n.oid, 'USAGE'))

-- name: sample
select {answers} from (select {values} from {table} {method} limit {limit}) as sampled

-- name: whole
pg_catalog.int8({column})

-- name: hashed
pg_catalog.hashtextextended({column}::pg_catalog.text, 0)

-- name: both
pg_catalog.hashint8extended({one}, {other})
