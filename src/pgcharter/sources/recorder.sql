-- Which statement made which object. Runs on the scratch database as its private superuser; the owner can neither change nor see it.
-- Number -1 is what was invented. The statement's number stands in a comment before its text, so DO blocks and functions are attributed to what called them.

-- name: install
create schema pgcharter_recorder;
revoke all on schema pgcharter_recorder from public;
create table pgcharter_recorder.made (
  classid oid not null,
  objid oid not null,
  objsubid integer not null,
  statement integer not null,
  primary key (classid, objid, objsubid)
);
create function pgcharter_recorder.record() returns event_trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_tag in ('COMMENT', 'GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES', 'SECURITY LABEL') then
    return;
  end if;
  with touched as materialized (
    select distinct c.classid, c.objid, c.objsubid from pg_catalog.pg_event_trigger_ddl_commands() c
     where c.objid is not null and not c.in_extension
  ), relation as materialized (
    select t.objid from touched t where t.classid = 1259
    union
    select coalesce(p.polrelid, g.tgrelid, r.ev_class)
      from touched t
      left join pg_catalog.pg_policy p on t.classid = 3256 and p.oid = t.objid
      left join pg_catalog.pg_trigger g on t.classid = 2620 and g.oid = t.objid
      left join pg_catalog.pg_rewrite r on t.classid = 2618 and r.oid = t.objid
     where t.classid in (3256, 2620, 2618)
  ), found as (
    select t.classid, t.objid, t.objsubid from touched t
    union
    select 1259, a.attrelid, a.attnum::integer
      from relation r join pg_catalog.pg_attribute a on a.attrelid = r.objid where a.attnum > 0 and not a.attisdropped
    union
    select 2606, c.oid, 0 from relation r join pg_catalog.pg_constraint c on c.conrelid = r.objid
    union
    select 2606, c.oid, 0 from touched t join pg_catalog.pg_constraint c on c.contypid = t.objid where t.classid = 1247
    union
    select 1259, i.indexrelid, 0 from relation r join pg_catalog.pg_index i on i.indrelid = r.objid
    union
    select 1259, a.attrelid, a.attnum::integer
      from touched t
      join pg_catalog.pg_type y on y.oid = t.objid
      join pg_catalog.pg_attribute a on a.attrelid = y.typrelid
     where t.classid = 1247 and a.attnum > 0 and not a.attisdropped
  )
  insert into pgcharter_recorder.made (classid, objid, objsubid, statement)
  select f.classid, f.objid, f.objsubid, substring(current_query() from '^/\*pgcharter:(-?[0-9]+)\*/')::integer
    from found f
   where current_query() ~ '^/\*pgcharter:-?[0-9]+\*/'
  on conflict do nothing;
end
$$;
revoke all on function pgcharter_recorder.record() from public;
create event trigger pgcharter_recorder on ddl_command_end execute function pgcharter_recorder.record();

-- name: remove
drop event trigger if exists pgcharter_recorder;
drop schema if exists pgcharter_recorder cascade;

-- name: places
with made as materialized (select * from pgcharter_recorder.made)
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' when 'i' then 'index' when 'I' then 'index'
         else 'table' end, n.nspname, c.relname, '', m.statement, 0
  from made m
  join pg_catalog.pg_class c on c.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where m.classid = 1259 and m.objsubid = 0 and c.relkind <> 'c'
union all
select 'column', n.nspname, c.relname, a.attname, m.statement, a.attnum
  from made m
  join pg_catalog.pg_class c on c.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = m.objsubid
 where m.classid = 1259 and m.objsubid > 0 and c.relkind not in ('i', 'I', 'S')
union all
select 'constraint', n.nspname, coalesce(c.relname, t.typname), k.conname, m.statement, 0
  from made m
  join pg_catalog.pg_constraint k on k.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = k.connamespace
  left join pg_catalog.pg_class c on c.oid = k.conrelid
  left join pg_catalog.pg_type t on t.oid = k.contypid
 where m.classid = 2606
union all
select 'trigger', n.nspname, c.relname, g.tgname, m.statement, 0
  from made m
  join pg_catalog.pg_trigger g on g.oid = m.objid
  join pg_catalog.pg_class c on c.oid = g.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where m.classid = 2620
union all
select 'policy', n.nspname, c.relname, p.polname, m.statement, 0
  from made m
  join pg_catalog.pg_policy p on p.oid = m.objid
  join pg_catalog.pg_class c on c.oid = p.polrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where m.classid = 3256
union all
select 'rule', n.nspname, c.relname, r.rulename, m.statement, 0
  from made m
  join pg_catalog.pg_rewrite r on r.oid = m.objid
  join pg_catalog.pg_class c on c.oid = r.ev_class
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where m.classid = 2618 and r.rulename <> '_RETURN'
union all
select case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end, n.nspname,
       p.proname || '(' || pg_catalog.array_to_string(array(
         select pg_catalog.format_type(u.type, null) from pg_catalog.unnest(p.proargtypes) with ordinality u (type, position) order by position
       ), ', ') || ')', '', m.statement, 0
  from made m
  join pg_catalog.pg_proc p on p.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
 where m.classid = 1255
union all
select case t.typtype when 'd' then 'domain' else 'type' end, n.nspname, t.typname, '', m.statement, 0
  from made m
  join pg_catalog.pg_type t on t.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
 where m.classid = 1247
union all
select 'schema', '', n.nspname, '', m.statement, 0
  from made m join pg_catalog.pg_namespace n on n.oid = m.objid
 where m.classid = 2615
union all
select 'statistics', n.nspname, s.stxname, '', m.statement, 0
  from made m
  join pg_catalog.pg_statistic_ext s on s.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
 where m.classid = 3381
union all
select 'collation', n.nspname, l.collname, '', m.statement, 0
  from made m
  join pg_catalog.pg_collation l on l.oid = m.objid
  join pg_catalog.pg_namespace n on n.oid = l.collnamespace
 where m.classid = 3456
union all
select 'publication', '', p.pubname, '', m.statement, 0
  from made m join pg_catalog.pg_publication p on p.oid = m.objid
 where m.classid = 6104
union all
select 'server', '', s.srvname, '', m.statement, 0
  from made m join pg_catalog.pg_foreign_server s on s.oid = m.objid
 where m.classid = 1417
