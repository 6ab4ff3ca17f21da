-- Which schemas and databases there are to be chosen from, and how far the history of each schema is, asked for many at once.

-- name: schemas
select n.nspname::text from pg_catalog.pg_namespace n
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgcharter') order by 1

-- name: databases
select d.datname::text from pg_catalog.pg_database d where d.datallowconn and not d.datistemplate order by 1

-- Of each schema that is there: how many of the three tables of a ledger it has, and whether it may have the record of another tool.
-- name: ledgers
select n.nspname::text, count(c.oid) filter (where c.relname in ('pgcharter_components', 'pgcharter_migrations', 'pgcharter_migration_units')),
       count(c.oid) filter (where c.relname = any (%s)) > 0
  from pg_catalog.pg_namespace n
  left join pg_catalog.pg_class c
    on c.relnamespace = n.oid
   and (c.relname in ('pgcharter_components', 'pgcharter_migrations', 'pgcharter_migration_units') or c.relname = any (%s))
 where n.nspname = any (%s) group by 1

-- A history as one number: equal where the same was done with the same end, whenever that was. Written for one schema, asked for many
-- with UNION ALL.
-- name: history
select %s::text, (select max(c.component_version) from pgcharter.components c where c.component = 'migrate'),
       (select pg_catalog.hashtextextended(coalesce(string_agg(pg_catalog.concat_ws(chr(31), m.version, m.migration_name, m.kind, m.direction,
                 m.outcome, m.checksum, m.error_message, m.file_name, case when m.outcome in ('running', 'failed') then (
                   select string_agg(pg_catalog.concat_ws(chr(29), u.unit_number, u.unit_checksum, u.done_at is not null,
                                                          u.position_reached is not null), chr(28) order by u.unit_number)
                     from pgcharter.schema_migration_units u where u.run_id = m.run_id) end),
                 chr(30) order by m.run_id), ''), 0)
          from pgcharter.schema_migrations m)
