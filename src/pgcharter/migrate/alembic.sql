-- What the bridge to Alembic asks beside the ledger. {home}: the schema whose history it is, as a literal; empty for the database's.

-- The fence that SQL files have on one session is shared here by all that env.py opens: the next runner waits for the last of them to end.
-- name: share
select pg_catalog.pg_advisory_lock_shared({fence}, o.id), pg_catalog.pg_advisory_unlock({fence}, o.id)
  from (select (n.oid - case when n.oid > 2147483647 then 4294967296 else 0 end)::int4 as id
          from (select coalesce((select n.oid::int8 from pg_catalog.pg_namespace n where n.nspname = {home}), 0) as oid) n) o

-- name: join
select pg_catalog.pg_advisory_lock_shared({fence}, o.id), pg_catalog.pg_backend_pid()
  from (select (n.oid - case when n.oid > 2147483647 then 4294967296 else 0 end)::int4 as id
          from (select coalesce((select n.oid::int8 from pg_catalog.pg_namespace n where n.nspname = {home}), 0) as oid) n) o

-- name: leave
select pg_catalog.pg_advisory_unlock_shared({fence}, o.id)
  from (select (n.oid - case when n.oid > 2147483647 then 4294967296 else 0 end)::int4 as id
          from (select coalesce((select n.oid::int8 from pg_catalog.pg_namespace n where n.nspname = {home}), 0) as oid) n) o

-- name: outcome
select outcome from pgcharter.schema_migrations where run_id = %s
