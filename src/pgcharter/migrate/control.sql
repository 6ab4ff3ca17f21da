-- What people ask of the runners of a database, and what the runners say of themselves. Always in schema pgcharter, whatever schemas have a
-- history of their own. Both tables are made when somebody first has something to write.

-- name: there
select count(*) = 2 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'pgcharter' and c.relname in ('migration_requests', 'migration_runners')

-- name: lock
select pg_catalog.pg_advisory_xact_lock(8100120211717165171)

-- name: schema
select pg_catalog.to_regnamespace('pgcharter') is not null

-- name: make_schema
create schema pgcharter

-- name: install
create table if not exists pgcharter.migration_requests (
  request_id bigint generated always as identity constraint migration_requests_pkey primary key,
  request text not null constraint ck_migration_requests_request check (request in ('pause', 'resume', 'stop', 'stop now')),
  asked_at timestamptz not null default clock_timestamp(),
  asked_by text not null default '',
  role_name text not null default session_user,
  reason text not null default ''
);
comment on table pgcharter.migration_requests is 'What people asked of runs of migrations; the last pause or resume says whether they wait';
comment on column pgcharter.migration_requests.asked_by is 'Account and machine from which it was asked';
create table if not exists pgcharter.migration_runners (
  runner_pid integer constraint migration_runners_pkey primary key,
  started_at timestamptz not null,
  said_at timestamptz not null default clock_timestamp(),
  run_by text not null default '',
  role_name text not null default session_user,
  schema_name text not null default '',
  direction text not null,
  progress jsonb not null
);
comment on table pgcharter.migration_runners is 'Runs of migrations at work and how far they are; a row without its session is of one that was killed';
comment on column pgcharter.migration_runners.runner_pid is 'Process of the server that holds the runner''s lock';

-- name: last
select coalesce(max(request_id), 0) from pgcharter.migration_requests

-- name: asked
select r.request_id, r.request, r.asked_at, r.asked_by, r.role_name, r.reason from pgcharter.migration_requests r
 where r.request_id in ((select max(p.request_id) from pgcharter.migration_requests p where p.request in ('pause', 'resume')),
                        (select max(s.request_id) from pgcharter.migration_requests s where s.request in ('stop', 'stop now')))
 order by 1

-- name: ask
insert into pgcharter.migration_requests (request, asked_by, reason) values (%s, %s, %s)
returning request_id, request, asked_at, asked_by, role_name, reason

-- name: say
insert into pgcharter.migration_runners (runner_pid, started_at, run_by, schema_name, direction, progress)
values (pg_catalog.pg_backend_pid(), clock_timestamp() - make_interval(secs => %s), %s, %s, %s, %s)
on conflict (runner_pid) do update set said_at = excluded.said_at, progress = excluded.progress

-- name: sweep
delete from pgcharter.migration_runners r
 where not exists (select from pg_catalog.pg_locks l where l.locktype = 'advisory' and l.pid = r.runner_pid) or r.runner_pid = pg_catalog.pg_backend_pid()

-- name: holders
select distinct l.pid, coalesce(a.usename::text, ''), a.backend_start
  from pg_catalog.pg_locks l
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory' and l.granted and l.classid::int8 = %s and l.objsubid = 2
   and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
 order by 1

-- name: said
select r.runner_pid, r.started_at, r.said_at, r.run_by, r.role_name, r.schema_name, r.direction, r.progress from pgcharter.migration_runners r
