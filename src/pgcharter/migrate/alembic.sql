-- What the bridge to Alembic asks beside the ledger.

-- The fence that SQL files have on one session is shared here by all that env.py opens: the next runner waits for the last of them to end.
-- name: share
select pg_catalog.pg_advisory_lock_shared(%s::int4, 0), pg_catalog.pg_advisory_unlock(%s::int4, 0)

-- name: join
select pg_catalog.pg_backend_pid(), pg_catalog.pg_advisory_lock_shared({fence}, 0)

-- name: leave
select pg_catalog.pg_advisory_unlock_shared({fence}, 0)

-- name: outcome
select outcome from pgcharter.schema_migrations where run_id = %s
