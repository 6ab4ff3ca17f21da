-- What is there for tenants, asked once for all of them.

-- name: schemas
select nspname::text from pg_catalog.pg_namespace order by 1

-- name: databases
select datname::text, datallowconn from pg_catalog.pg_database where not datistemplate order by 1

-- name: roles
select rolname::text, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_catalog.pg_roles

-- name: members
select r.rolname::text, m.rolname::text, a.admin_option
  from pg_catalog.pg_auth_members a
  join pg_catalog.pg_roles r on r.oid = a.roleid join pg_catalog.pg_roles m on m.oid = a.member

-- name: connecting
select d.datname::text, case when x.grantee = 0 then '' else pg_catalog.pg_get_userbyid(x.grantee)::text end
  from pg_catalog.pg_database d,
       pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
 where x.privilege_type = 'CONNECT' and x.grantee <> d.datdba

-- Foreign keys and rules of views that lead from a schema into another; both sides are named, so that the tenants' can be told.
-- name: crossing
select n.nspname::text, m.nspname::text,
       pg_catalog.format('foreign key %I of table %I.%I refers to table %I.%I', k.conname, n.nspname, c.relname, m.nspname, f.relname)
  from pg_catalog.pg_constraint k
  join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_class f on f.oid = k.confrelid join pg_catalog.pg_namespace m on m.oid = f.relnamespace
 where k.contype = 'f' and k.conparentid = 0 and n.oid <> m.oid
union
select n.nspname::text, m.nspname::text,
       pg_catalog.format('%s %I.%I reads table %I.%I', case v.relkind when 'm' then 'materialized view' else 'view' end,
                         n.nspname, v.relname, m.nspname, t.relname)
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_class v on v.oid = r.ev_class join pg_catalog.pg_namespace n on n.oid = v.relnamespace
  join pg_catalog.pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
  join pg_catalog.pg_class t on t.oid = d.refobjid join pg_catalog.pg_namespace m on m.oid = t.relnamespace
 where n.oid <> m.oid and v.relkind in ('v', 'm')
 order by 1, 2, 3
