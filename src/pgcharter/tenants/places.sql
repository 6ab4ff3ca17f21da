-- Schemas and databases of tenants: made, shut, opened; who may make them; who is at work in them.

-- name: may_make_schemas
select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       (select rolsuper or rolcreaterole from pg_catalog.pg_roles where rolname = current_user)

-- name: may_make_databases
select (select rolsuper or rolcreatedb from pg_catalog.pg_roles where rolname = current_user)

-- name: may_write
select pg_catalog.has_table_privilege('pgcharter.tenants', 'INSERT, UPDATE, DELETE')

-- name: asks_state
select pg_catalog.to_regprocedure('pgcharter.tenant_is_active()') is not null

-- name: schema
select count(*) > 0 from pg_catalog.pg_namespace where nspname = %s

-- name: database
select count(*) > 0 from pg_catalog.pg_database where datname = %s

-- name: role
select count(*) > 0 from pg_catalog.pg_roles where rolname = %s

-- name: members
select m.rolname::text, g.rolname::text from pg_catalog.pg_auth_members a
  join pg_catalog.pg_roles r on r.oid = a.roleid join pg_catalog.pg_roles m on m.oid = a.member
  join pg_catalog.pg_roles g on g.oid = a.grantor
 where r.rolname = %s and m.rolname <> current_user and m.rolname <> %s and not a.admin_option order by 1, 2

-- name: connecting
select case when x.grantee = 0 then '' else pg_catalog.pg_get_userbyid(x.grantee)::text end
  from pg_catalog.pg_database d,
       pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
 where d.datname = %s and x.privilege_type = 'CONNECT' and x.grantee <> d.datdba order by 1

-- name: sessions_of_database
select a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.client_addr::text, '')
  from pg_catalog.pg_stat_activity a where a.datname = %s and a.pid <> pg_catalog.pg_backend_pid() order by 1

-- Whoever holds a lock on something in the schema: the role that a session has taken on is shown nowhere.
-- name: sessions_of_schema
select a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.client_addr::text, '')
  from pg_catalog.pg_stat_activity a
 where a.pid <> pg_catalog.pg_backend_pid() and a.pid in (
       select l.pid from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
        where l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
          and c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = %s)) order by 1
