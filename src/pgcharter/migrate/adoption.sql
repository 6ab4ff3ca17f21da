-- What other tools have recorded of a database that they migrated so far. {table}: the tool's own table, quoted.

-- Tables that look like another tool's record, with their columns; the ledger's own are not among them.
-- name: tables
select n.nspname::text, c.relname::text, array_agg(a.attname::text)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relkind in ('r', 'p') and n.nspname <> 'pgcharter' and c.relname = any (%s)
   and (not %s or (n.nspname = any (pg_catalog.current_schemas(false))
                   and n.nspname = coalesce(nullif(pg_catalog.current_setting('pgcharter.schema', true), ''), n.nspname)))
   and pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT')
 group by n.nspname, c.relname order by n.nspname, c.relname

-- Each of the following gives version, file, applied|upto|gone|failed, checksum; in the order in which the tool did it.
-- name: flyway
select coalesce(version, ''), script,
       case when not success then 'failed' when type in ('BASELINE', 'SQL_BASELINE') then 'upto'
            when type like 'UNDO%' or type = 'DELETE' then 'gone' else 'applied' end, checksum::int8
  from {table} where type <> 'SCHEMA' order by installed_rank

-- name: goose
select version_id::text, '', case when is_applied then 'applied' else 'gone' end, null from {table} where version_id > 0 order by id

-- name: golang_migrate
select version::text, '', case when dirty then 'failed' else 'upto' end, null from {table}

-- name: dbmate
select version::text, '', 'applied', null from {table} order by version

-- name: sql_migrate
select '', id, 'applied', null from {table} order by applied_at, id

-- name: node_pg_migrate
select '', name || '.sql', 'applied', null from {table} order by id

-- name: liquibase
select author || ':' || id, filename, 'applied', null from {table} order by orderexecuted

-- name: sqitch
select change, '', 'applied', null from {table} order by committed_at
