-- Tables, views and what hangs on them. Run with search_path = pg_catalog, pg_temp; every relation is named with its schema.
-- Numbers of objects and vectors are handed over as they are and resolved in memory: no casts, no functions but PostgreSQL's deparsers.

-- name: relations
select c.oid, c.relnamespace, c.relname, c.relkind, c.relpersistence, c.relowner, c.relacl, c.reloptions, toast.reloptions,
       c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispopulated, ts.spcname,
       case when am.amname <> 'heap' then am.amname end,
       case when c.reloftype <> 0 then pg_catalog.format_type(c.reloftype, null) end,
       srv.srvname, ft.ftoptions, pt.partstrat, pt.partattrs,
       case when pt.partrelid is not null then pg_catalog.pg_get_partkeydef(c.oid) end,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid),
       case when c.relkind in ('v', 'm') and ext.objid is null then pg_catalog.pg_get_viewdef(c.oid, false) end,
       c.relispartition, c.reltype
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_class toast on toast.oid = c.reltoastrelid and toast.reloptions is not null
  left join pg_catalog.pg_tablespace ts on ts.oid = c.reltablespace
  left join pg_catalog.pg_am am on am.oid = c.relam
  left join pg_catalog.pg_foreign_table ft on ft.ftrelid = c.oid
  left join pg_catalog.pg_foreign_server srv on srv.oid = ft.ftserver
  left join pg_catalog.pg_partitioned_table pt on pt.partrelid = c.oid
  left join pg_catalog.pg_depend ext on ext.classid = 1259 and ext.objid = c.oid and ext.objsubid = 0 and ext.deptype = 'e'
 where c.relkind in ('r', 'p', 'f', 'v', 'm')
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: inheritance
select i.inhrelid, i.inhparent
  from pg_catalog.pg_inherits i
 order by i.inhrelid, i.inhseqno

-- name: data_types
with recursive used (oid, typmod) as (
  (select distinct a.atttypid, a.atttypmod
     from pg_catalog.pg_attribute a
     join pg_catalog.pg_class c on c.oid = a.attrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f', 'v', 'm', 'c')
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   union
   select arg, -1
     from pg_catalog.pg_proc p
     join pg_catalog.pg_namespace n on n.oid = p.pronamespace,
          pg_catalog.unnest(pg_catalog.array_append(coalesce(p.proallargtypes, p.proargtypes), p.prorettype)) arg
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   union
   select t.oid, -1
     from pg_catalog.pg_type t
     join pg_catalog.pg_namespace n on n.oid = t.typnamespace
    where t.typtype = 'd' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   union
   select r.rngsubtype, -1 from pg_catalog.pg_range r where r.rngtypid >= 16384)
  union
  select case when t.typtype = 'd' then t.typbasetype else t.typelem end, case when t.typtype = 'd' then t.typtypmod else u.typmod end
    from used u
    join pg_catalog.pg_type t on t.oid = u.oid
   where t.typtype = 'd' or t.typelem <> 0
)
select u.oid, u.typmod, pg_catalog.format_type(u.oid, u.typmod), n.nspname, e.typname, e.typtype, e.oid <> t.oid, e.oid,
       e.typbasetype, e.typtypmod
  from used u
  join pg_catalog.pg_type t on t.oid = u.oid
  left join pg_catalog.pg_type el on el.oid = t.typelem and el.typarray = t.oid
  join pg_catalog.pg_type e on e.oid = coalesce(el.oid, t.oid)
  join pg_catalog.pg_namespace n on n.oid = e.typnamespace

-- name: columns
select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
       case when a.atthasdef then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end,
       a.attidentity, a.attgenerated, a.attcollation, a.attcollation <> t.typcollation,
       case when a.attstorage <> t.typstorage then a.attstorage end, a.attcompression,
       {{since 17: a.attstattarget otherwise nullif(a.attstattarget, -1)}},
       a.attoptions, a.attfdwoptions, a.attinhcount > 0 and not a.attislocal, a.attacl
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f', 'v', 'm', 'c')
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: indexes
select i.indexrelid, i.indrelid, c.relnamespace, c.relname, am.amname, i.indnkeyatts, i.indkey, i.indclass, i.indcollation, i.indoption,
       i.indisunique, i.indisprimary, i.indisexclusion, {{since 15: i.indnullsnotdistinct otherwise false}}, i.indisvalid, i.indisready,
       i.indisreplident, i.indisclustered, c.relkind = 'I', ts.spcname, c.reloptions,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid),
       case when i.indexprs is not null then
         array(select pg_catalog.pg_get_indexdef(i.indexrelid, k, false)
                 from pg_catalog.generate_series(1, i.indnatts) k where i.indkey[k - 1] = 0 order by k)
       end,
       pg_catalog.pg_get_indexdef(i.indexrelid),
       o.numbers, o.options, o.targets
  from pg_catalog.pg_index i
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_am am on am.oid = c.relam
  left join pg_catalog.pg_tablespace ts on ts.oid = c.reltablespace
  left join (select a.attrelid, pg_catalog.array_agg(a.attnum) as numbers,
                    pg_catalog.array_agg(pg_catalog.array_to_string(a.attoptions, ',')) as options,
                    pg_catalog.array_agg({{since 17: a.attstattarget otherwise nullif(a.attstattarget, -1)}}) as targets
               from pg_catalog.pg_attribute a
              where a.attoptions is not null or {{since 17: a.attstattarget is not null otherwise a.attstattarget >= 0}}
              group by a.attrelid) o on o.attrelid = i.indexrelid
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: operator_classes
select o.oid, n.nspname, o.opcname
  from pg_catalog.pg_opclass o
  join pg_catalog.pg_namespace n on n.oid = o.opcnamespace
 where not o.opcdefault

-- name: constraints
select con.oid, con.conrelid, con.contypid, con.conname, con.contype, con.conkey, con.confrelid, con.confkey, con.confdeltype,
       con.confupdtype, con.confmatchtype, {{since 15: con.confdelsetcols otherwise null}}, con.conindid, con.condeferrable,
       con.condeferred, con.convalidated, {{since 18: con.conenforced otherwise true}}, con.connoinherit,
       con.coninhcount > 0 and not con.conislocal, con.conparentid, {{since 18: con.conperiod otherwise false}},
       case when con.contype <> 'n' then pg_catalog.pg_get_constraintdef(con.oid) end,
       case when con.contype = 'c' then pg_catalog.pg_get_expr(con.conbin, con.conrelid) end
  from pg_catalog.pg_constraint con
  join pg_catalog.pg_namespace n on n.oid = con.connamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: triggers
select t.tgrelid, t.oid, t.tgname, fn.nspname, f.proname, t.tgtype, t.tgattr, t.tgargs, t.tgenabled, t.tgconstraint <> 0, t.tgdeferrable,
       t.tginitdeferred, t.tgoldtable, t.tgnewtable, t.tgparentid <> 0, pg_catalog.pg_get_triggerdef(t.oid, false)
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_proc f on f.oid = t.tgfoid
  join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
 where not t.tgisinternal
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: policies
select p.polrelid, p.oid, p.polname, p.polcmd, p.polpermissive, p.polroles,
       pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
  from pg_catalog.pg_policy p

-- name: rules
select r.ev_class, r.oid, r.rulename, r.ev_type, r.is_instead, r.ev_enabled, pg_catalog.pg_get_ruledef(r.oid)
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_class c on c.oid = r.ev_class
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where r.rulename <> '_RETURN'
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: sequences
select c.oid, c.relnamespace, c.relname, pg_catalog.format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
       s.seqcache, s.seqcycle, d.refobjid, d.refobjsubid, d.deptype = 'i', c.relpersistence = 'u', c.relowner, c.relacl
  from pg_catalog.pg_sequence s
  join pg_catalog.pg_class c on c.oid = s.seqrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_depend d on d.classid = 1259 and d.objid = c.oid and d.objsubid = 0 and d.refclassid = 1259
                                  and d.refobjsubid > 0 and d.deptype in ('a', 'i')
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: statistics
select s.oid, s.stxnamespace, s.stxname, s.stxrelid, s.stxkind, s.stxkeys,
       {{since 17: s.stxstattarget otherwise nullif(s.stxstattarget, -1)}}, s.stxowner,
       pg_catalog.pg_get_statisticsobjdef_expressions(s.oid), pg_catalog.pg_get_statisticsobjdef(s.oid)
  from pg_catalog.pg_statistic_ext s
  join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: dependencies
-- The default of a column counts as the column, the _RETURN rule of a view as the view; a part that depends on its own relation is left out.
select case when ad.oid is not null or rw.rulename = '_RETURN' then 1259 else d.classid end,
       case when ad.oid is not null then ad.adrelid when rw.rulename = '_RETURN' then rw.ev_class else d.objid end,
       case when ad.oid is not null then ad.adnum else d.objsubid end,
       d.refclassid, d.refobjid, d.refobjsubid
  from pg_catalog.pg_depend d
  left join pg_catalog.pg_attrdef ad on d.classid = 2604 and ad.oid = d.objid
  left join pg_catalog.pg_rewrite rw on d.classid = 2618 and rw.oid = d.objid
  left join pg_catalog.pg_trigger tg on d.classid = 2620 and tg.oid = d.objid
 where d.deptype in ('n', 'a') and d.objid >= 16384 and d.refobjid >= 16384
   and d.classid in (1247, 1255, 1259, 2604, 2606, 2618, 2620, 3256)
   and d.refclassid in (1247, 1255, 1259)
   and not (d.classid in (1259, 2606) and d.refclassid = 1259)
   and not (d.classid = 2604 and d.refclassid = 1259 and d.refobjid = ad.adrelid and d.refobjsubid = ad.adnum)
   and tg.tgisinternal is not true
