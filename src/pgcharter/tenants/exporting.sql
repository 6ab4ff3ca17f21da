-- What an export reads beside rows.

-- name: begin
begin isolation level repeatable read, read only

-- name: snapshot
select pg_catalog.pg_current_snapshot()::text

-- name: large_objects
select count(*) from pg_catalog.pg_largeobject_metadata

-- name: positions
select pg_catalog.format('%%I.%%I', s.schemaname, s.sequencename), s.last_value
  from pg_catalog.pg_sequences s where s.schemaname = any (%s) order by 1
