-- What is left of a tenant, and what reaches into its schema.

-- What outside of a schema depends on something in it: dropping the schema would take it along. Dependencies of parts (column defaults,
-- rules of views, constraints) are followed to what they are part of.
-- name: reaching_in
with inside as (
  select 'pg_class'::regclass::oid as classid, c.oid from pg_catalog.pg_class c where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = %(schema)s)
  union all select 'pg_type'::regclass, t.oid from pg_catalog.pg_type t where t.typnamespace = (select oid from pg_catalog.pg_namespace where nspname = %(schema)s)
  union all select 'pg_proc'::regclass, p.oid from pg_catalog.pg_proc p where p.pronamespace = (select oid from pg_catalog.pg_namespace where nspname = %(schema)s)
), users as (
  select distinct d.classid, d.objid from pg_catalog.pg_depend d join inside i on i.classid = d.refclassid and i.oid = d.refobjid
   where d.deptype in ('n', 'a')
), owners as (
  select coalesce(r.ev_class, k.conrelid, a.adrelid, case when u.classid = 'pg_class'::regclass then u.objid end) as relation,
         case when u.classid = 'pg_proc'::regclass then u.objid end as routine, u.classid, u.objid
    from users u
    left join pg_catalog.pg_rewrite r on u.classid = 'pg_rewrite'::regclass and r.oid = u.objid
    left join pg_catalog.pg_constraint k on u.classid = 'pg_constraint'::regclass and k.oid = u.objid and k.conrelid <> 0
    left join pg_catalog.pg_attrdef a on u.classid = 'pg_attrdef'::regclass and a.oid = u.objid
)
select distinct pg_catalog.pg_describe_object(o.classid, o.objid, 0)
  from owners o
  left join pg_catalog.pg_class c on c.oid = o.relation
  left join pg_catalog.pg_proc p on p.oid = o.routine
 where coalesce(c.relnamespace, p.pronamespace) not in
       (select oid from pg_catalog.pg_namespace where nspname = %(schema)s or nspname ~ '^pg_toast')
 order by 1

-- Tables of a schema, those below others first: partitions before what they are part of.
-- name: tables
with recursive below(oid, depth) as (
  select c.oid, 0 from pg_catalog.pg_class c
   where c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(%(schema)s)) and c.relkind in ('r', 'p', 'f')
  union all select h.inhrelid, b.depth + 1 from below b join pg_catalog.pg_inherits h on h.inhparent = b.oid
)
select c.relname::text
  from (select oid, max(depth) as depth from below group by oid) b
  join pg_catalog.pg_class c on c.oid = b.oid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = %(schema)s order by b.depth desc, c.relname

-- name: schema
select count(*) > 0 from pg_catalog.pg_namespace where nspname = %s

-- name: database
select d.datallowconn, (select count(*) from pg_catalog.pg_stat_activity a where a.datname = d.datname)
  from pg_catalog.pg_database d where d.datname = %s

-- name: role
select count(*) > 0 from pg_catalog.pg_roles where rolname = %s

-- What a role owns: here by name, elsewhere by database.
-- name: owned
select case when s.dbid in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
            then pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid)
            else 'something in database ' || coalesce((select d.datname from pg_catalog.pg_database d where d.oid = s.dbid), s.dbid::text) end
  from pg_catalog.pg_shdepend s
 where s.refclassid = 'pg_authid'::regclass and s.refobjid = (select oid from pg_catalog.pg_roles where rolname = %s) and s.deptype = 'o'
 order by 1 limit 5

-- name: marks
delete from pgcharter.managed_objects
 where schema_name = %(place)s or (object_kind in ('schema', 'role') and object_name = %(place)s)
    or (object_kind = 'membership' and (object_name ^@ (pg_catalog.quote_ident(%(place)s) || ' in ')
        or object_name like '%% in ' || replace(replace(pg_catalog.quote_ident(%(place)s), '_', '\_'), '%%', '\%%')))
    or (object_kind = 'default privileges' and object_name ^@ (%(place)s || ' on '))

-- name: view_marks
delete from pgcharter.managed_objects where object_kind = 'view' and schema_name = %s and object_name = any (%s)

-- name: has_marks
select pg_catalog.to_regclass('pgcharter.managed_objects') is not null

-- name: has_audit
select pg_catalog.to_regclass('pgcharter.audit_log') is not null

-- name: audit_of_schema
select count(*) from pgcharter.audit_log where table_schema = %s

-- name: audit_of_rows
select count(*) from pgcharter.audit_log where coalesce(new, old) ->> %s = %s
