-- The record of what policies made.

-- No row: it is not there.
-- name: readable
select pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT')
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'pgcharter' and c.relname = 'managed_objects'

-- name: marks
select object_kind, schema_name, object_name, part_name, field_name, policy_name, value_before from pgcharter.managed_objects
