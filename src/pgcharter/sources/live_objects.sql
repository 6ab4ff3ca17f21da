-- Everything beside tables. Same rules as live_relations.sql.

-- name: database
select d.oid, d.datname, d.datdba, pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       {{since 15: d.datlocprovider otherwise 'c'}},
       {{since 17: d.datlocale since 15: d.daticulocale otherwise null}}, d.datacl, pg_catalog.shobj_description(d.oid, 'pg_database')
  from pg_catalog.pg_database d
 where d.datname = pg_catalog.current_database()

-- name: database_settings
select s.setrole, c.setting
  from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) with ordinality c (setting, position)
 where s.setdatabase = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
 order by s.setrole, c.position

-- name: role_names
select r.oid, r.rolname from pg_catalog.pg_roles r

-- name: schemas
select n.oid, n.nspname, n.nspowner, n.nspacl
  from pg_catalog.pg_namespace n
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- name: comments
select d.classoid, d.objoid, d.objsubid, d.description
  from pg_catalog.pg_description d
 where d.objoid >= 16384 or d.classoid = 2615

-- name: extension_members
select d.classid, d.objid, e.extname
  from pg_catalog.pg_depend d
  join pg_catalog.pg_extension e on e.oid = d.refobjid
 where d.refclassid = 3079 and d.deptype = 'e'

-- name: extensions
select e.oid, e.extname, e.extversion, n.nspname, e.extowner, a.default_version, a.comment, e.extrelocatable,
       array(select r.extname
               from pg_catalog.pg_depend d
               join pg_catalog.pg_extension r on r.oid = d.refobjid
              where d.classid = 3079 and d.objid = e.oid and d.refclassid = 3079)
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
  left join pg_catalog.pg_available_extensions() a on a.name = e.extname

-- name: functions
select p.oid, p.pronamespace, p.proname, p.prokind, p.proargtypes, p.proallargtypes, p.proargmodes, p.proargnames,
       case when p.pronargdefaults > 0 then
         array(select pg_catalog.pg_get_function_arg_default(p.oid, k)
                 from pg_catalog.generate_series(1, coalesce(pg_catalog.array_length(p.proallargtypes, 1), p.pronargs)) k order by k)
       end,
       pg_catalog.pg_get_function_result(p.oid), l.lanname, p.provolatile, p.proparallel, p.proleakproof, p.proisstrict, p.prosecdef,
       p.procost, p.prorows, p.proconfig,
       case when p.prosupport <> 0 then (select pg_catalog.quote_ident(sn.nspname) || '.' || pg_catalog.quote_ident(s.proname)
                                           from pg_catalog.pg_proc s
                                           join pg_catalog.pg_namespace sn on sn.oid = s.pronamespace
                                          where s.oid = p.prosupport) end,
       case when ext.objid is not null then null when p.prosqlbody is not null then pg_catalog.pg_get_function_sqlbody(p.oid) else p.prosrc end,
       case when ext.objid is not null then null
            when p.prokind <> 'a' then pg_catalog.pg_get_functiondef(p.oid)
            else (select 'CREATE OR REPLACE AGGREGATE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
                         || '(' || case when p.pronargs = 0 then '*' else pg_catalog.pg_get_function_arguments(p.oid) end || ') ('
                         || pg_catalog.concat_ws(', ',
                         'SFUNC = ' || a.aggtransfn::pg_catalog.regproc::text,
                         'STYPE = ' || pg_catalog.format_type(a.aggtranstype, null),
                         case when a.aggtransspace <> 0 then 'SSPACE = ' || a.aggtransspace::text end,
                         case when a.aggfinalfn <> 0 then 'FINALFUNC = ' || a.aggfinalfn::pg_catalog.regproc::text end,
                         case when a.aggfinalextra then 'FINALFUNC_EXTRA' end,
                         case when a.aggfinalmodify <> case when a.aggkind = 'n' then 'r' else 'w' end then
                           'FINALFUNC_MODIFY = ' || case a.aggfinalmodify when 'r' then 'READ_ONLY' when 's' then 'SHAREABLE' else 'READ_WRITE' end end,
                         case when a.aggcombinefn <> 0 then 'COMBINEFUNC = ' || a.aggcombinefn::pg_catalog.regproc::text end,
                         case when a.aggserialfn <> 0 then 'SERIALFUNC = ' || a.aggserialfn::pg_catalog.regproc::text end,
                         case when a.aggdeserialfn <> 0 then 'DESERIALFUNC = ' || a.aggdeserialfn::pg_catalog.regproc::text end,
                         case when a.agginitval is not null then 'INITCOND = ' || pg_catalog.quote_literal(a.agginitval) end,
                         case when a.aggmtransfn <> 0 then 'MSFUNC = ' || a.aggmtransfn::pg_catalog.regproc::text end,
                         case when a.aggminvtransfn <> 0 then 'MINVFUNC = ' || a.aggminvtransfn::pg_catalog.regproc::text end,
                         case when a.aggmtranstype <> 0 then 'MSTYPE = ' || pg_catalog.format_type(a.aggmtranstype, null) end,
                         case when a.aggmtransspace <> 0 then 'MSSPACE = ' || a.aggmtransspace::text end,
                         case when a.aggmfinalfn <> 0 then 'MFINALFUNC = ' || a.aggmfinalfn::pg_catalog.regproc::text end,
                         case when a.aggmfinalextra then 'MFINALFUNC_EXTRA' end,
                         case when a.aggmtransfn <> 0 and a.aggmfinalmodify <> case when a.aggkind = 'n' then 'r' else 'w' end then
                           'MFINALFUNC_MODIFY = ' || case a.aggmfinalmodify when 'r' then 'READ_ONLY' when 's' then 'SHAREABLE' else 'READ_WRITE' end end,
                         case when a.aggminitval is not null then 'MINITCOND = ' || pg_catalog.quote_literal(a.aggminitval) end,
                         (select 'SORTOP = OPERATOR(' || pg_catalog.quote_ident(son.nspname) || '.' || so.oprname || ')'
                            from pg_catalog.pg_operator so
                            join pg_catalog.pg_namespace son on son.oid = so.oprnamespace
                           where so.oid = a.aggsortop),
                         case p.proparallel when 's' then 'PARALLEL = SAFE' when 'r' then 'PARALLEL = RESTRICTED' end,
                         case when a.aggkind = 'h' then 'HYPOTHETICAL' end) || ')'
                    from pg_catalog.pg_aggregate a where a.aggfnoid = p.oid)
       end,
       p.proowner, p.proacl, p.pronargs
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang
  left join pg_catalog.pg_depend ext on ext.classid = 1255 and ext.objid = p.oid and ext.deptype = 'e'
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and not exists (select from pg_catalog.pg_depend i where i.classid = 1255 and i.objid = p.oid and i.deptype = 'i')

-- name: types
select t.oid, t.typnamespace, t.typname, t.typtype, t.typrelid, t.typbasetype, t.typtypmod, t.typnotnull,
       coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault),
       case when t.typcollation <> coalesce(base.typcollation, 0) and t.typtype = 'd' then t.typcollation else 0 end,
       case when t.typtype = 'e' then
         array(select e.enumlabel from pg_catalog.pg_enum e where e.enumtypid = t.oid order by e.enumsortorder)
       end,
       r.rngsubtype, rm.nspname, m.typname, r.rngcollation,
       case when not oc.opcdefault then pg_catalog.quote_ident(ocn.nspname) || '.' || pg_catalog.quote_ident(oc.opcname) end,
       case when r.rngcanonical <> 0 then r.rngcanonical::pg_catalog.regproc::text end,
       case when r.rngsubdiff <> 0 then r.rngsubdiff::pg_catalog.regproc::text end,
       case when t.typtype = 'b' and t.typisdefined then
         array['input=' || t.typinput::pg_catalog.regprocedure::text, 'output=' || t.typoutput::pg_catalog.regprocedure::text,
               'length=' || t.typlen::text, 'alignment=' || t.typalign::text, 'storage=' || t.typstorage::text,
               'category=' || t.typcategory::text, 'by value=' || t.typbyval::text]
       end,
       t.typowner, t.typacl, t.typisdefined
  from pg_catalog.pg_type t
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  left join pg_catalog.pg_type base on base.oid = t.typbasetype
  left join pg_catalog.pg_range r on r.rngtypid = t.oid
  left join pg_catalog.pg_type m on m.oid = r.rngmultitypid
  left join pg_catalog.pg_namespace rm on rm.oid = m.typnamespace
  left join pg_catalog.pg_opclass oc on oc.oid = r.rngsubopc
  left join pg_catalog.pg_namespace ocn on ocn.oid = oc.opcnamespace
  left join pg_catalog.pg_class c on c.oid = t.typrelid
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and (t.typtype in ('e', 'd', 'r', 'p') or t.typtype = 'c' and c.relkind = 'c'
        or t.typtype = 'b' and not exists (select from pg_catalog.pg_type el where el.oid = t.typelem and el.typarray = t.oid))

-- name: event_triggers
select e.oid, e.evtname, e.evtevent, n.nspname, p.proname, e.evttags, e.evtenabled, e.evtowner
  from pg_catalog.pg_event_trigger e
  join pg_catalog.pg_proc p on p.oid = e.evtfoid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace

-- name: publications
select p.oid, p.pubname, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
       {{since 18: p.pubgencols otherwise null}},
       array(select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
                    || {{since 15: coalesce(' (' || (select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum)
                                                   from pg_catalog.pg_attribute a
                                                  where a.attrelid = c.oid and a.attnum = any (r.prattrs)) || ')', '')
                    || coalesce(' WHERE (' || pg_catalog.pg_get_expr(r.prqual, r.prrelid) || ')', '') otherwise ''}}
               from pg_catalog.pg_publication_rel r
               join pg_catalog.pg_class c on c.oid = r.prrelid
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where r.prpubid = p.oid),
       {{since 15: array(select n.nspname from pg_catalog.pg_publication_namespace s
               join pg_catalog.pg_namespace n on n.oid = s.pnnspid
              where s.pnpubid = p.oid) otherwise null}},
       p.pubowner
  from pg_catalog.pg_publication p

-- name: subscriptions
select s.oid, s.subname, s.subenabled, s.subpublications, s.subslotname,
       'binary=' || s.subbinary::text, 'streaming=' || case s.substream::text when 'f' then 'off' when 'false' then 'off' when 'p' then 'parallel' else 'on' end, 'synchronous_commit=' || s.subsynccommit,
       {{since 15: 'two_phase=' || case s.subtwophasestate when 'd' then 'off' when 'p' then 'pending' else 'on' end otherwise null}},
       {{since 15: 'disable_on_error=' || s.subdisableonerr::text otherwise null}},
       {{since 16: 'origin=' || s.suborigin otherwise null}},
       {{since 16: 'run_as_owner=' || s.subrunasowner::text otherwise null}},
       {{since 16: 'password_required=' || s.subpasswordrequired::text otherwise null}},
       {{since 17: 'failover=' || s.subfailover::text otherwise null}},
       s.subowner
  from pg_catalog.pg_subscription s
 where s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())

-- name: foreign_servers
select s.oid, s.srvname, w.fdwname, s.srvtype, s.srvversion, s.srvoptions,
       array(select coalesce(r.rolname, 'public') from pg_catalog.pg_user_mappings u
               left join pg_catalog.pg_roles r on r.oid = u.umuser
              where u.srvid = s.oid),
       s.srvowner, s.srvacl
  from pg_catalog.pg_foreign_server s
  join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw

-- name: collations
select c.oid, n.nspname, c.collname, c.collprovider,
       coalesce({{since 17: c.colllocale since 15: c.colliculocale otherwise null}},
                case when c.collcollate = c.collctype then c.collcollate
                     else 'LC_COLLATE=' || c.collcollate || ' LC_CTYPE=' || c.collctype end)
         {{since 16: || coalesce(' RULES ' || pg_catalog.quote_literal(c.collicurules), '') otherwise }},
       c.collisdeterministic, c.collowner
  from pg_catalog.pg_collation c
  join pg_catalog.pg_namespace n on n.oid = c.collnamespace

-- name: default_privileges
select d.defaclrole, n.nspname, d.defaclobjtype, d.defaclacl
  from pg_catalog.pg_default_acl d
  left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace

-- name: security_labels
select s.classoid, s.objoid, s.objsubid, s.provider, s.label
  from pg_catalog.pg_seclabel s

-- name: others
-- Each definition is what stands in CREATE after the name (of languages and access methods too); lists whose members can be changed one
-- by one have each on its own line.
select 2605, c.oid, 'cast', '', '(' || pg_catalog.format_type(c.castsource, null) || ' AS ' || pg_catalog.format_type(c.casttarget, null) || ')',
       case c.castmethod when 'f' then 'WITH FUNCTION ' || c.castfunc::pg_catalog.regprocedure::text
                         when 'i' then 'WITH INOUT' else 'WITHOUT FUNCTION' end
         || case c.castcontext when 'a' then ' AS ASSIGNMENT' when 'i' then ' AS IMPLICIT' else '' end, 0, null::aclitem[], null::text[]
  from pg_catalog.pg_cast c
 where c.oid >= 16384
   and not exists (select from pg_catalog.pg_depend i where i.classid = 2605 and i.objid = c.oid and i.deptype = 'i')
union all
select 2617, o.oid, 'operator', n.nspname,
       o.oprname || ' (' || case when o.oprleft = 0 then 'NONE' else pg_catalog.format_type(o.oprleft, null) end
         || ', ' || case when o.oprright = 0 then 'NONE' else pg_catalog.format_type(o.oprright, null) end || ')',
       '(' || pg_catalog.concat_ws(', ', 'FUNCTION = ' || o.oprcode::pg_catalog.regproc::text,
         case when o.oprleft <> 0 then 'LEFTARG = ' || pg_catalog.format_type(o.oprleft, null) end,
         case when o.oprright <> 0 then 'RIGHTARG = ' || pg_catalog.format_type(o.oprright, null) end,
         'COMMUTATOR = OPERATOR(' || pg_catalog.quote_ident(cn.nspname) || '.' || com.oprname || ')',
         'NEGATOR = OPERATOR(' || pg_catalog.quote_ident(nn.nspname) || '.' || neg.oprname || ')',
         case when o.oprcanhash then 'HASHES' end, case when o.oprcanmerge then 'MERGES' end,
         case when o.oprrest <> 0 then 'RESTRICT = ' || o.oprrest::pg_catalog.regproc::text end,
         case when o.oprjoin <> 0 then 'JOIN = ' || o.oprjoin::pg_catalog.regproc::text end) || ')', o.oprowner, null, null
  from pg_catalog.pg_operator o
  join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  left join pg_catalog.pg_operator com on com.oid = o.oprcom
  left join pg_catalog.pg_namespace cn on cn.oid = com.oprnamespace
  left join pg_catalog.pg_operator neg on neg.oid = o.oprnegate
  left join pg_catalog.pg_namespace nn on nn.oid = neg.oprnamespace
 where o.oprcode <> 0 and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 2616, o.oid, 'operator class', n.nspname, o.opcname || ' USING ' || am.amname,
       pg_catalog.concat_ws(' ', case when o.opcdefault then 'DEFAULT' end, 'FOR TYPE ' || pg_catalog.format_type(o.opcintype, null),
         'USING ' || pg_catalog.quote_ident(am.amname), 'FAMILY ' || pg_catalog.quote_ident(fn.nspname) || '.' || pg_catalog.quote_ident(f.opfname),
         'AS') || E'\n' || pg_catalog.concat_ws(E',\n',
         'STORAGE ' || pg_catalog.format_type(coalesce(nullif(o.opckeytype, 0), o.opcintype), null),
         (select pg_catalog.string_agg('OPERATOR ' || m.amopstrategy::text || ' ' || pg_catalog.quote_ident(mn.nspname) || '.' || mo.oprname
                   || '(' || pg_catalog.format_type(m.amoplefttype, null) || ', ' || pg_catalog.format_type(m.amoprighttype, null) || ')'
                   || coalesce(' FOR ORDER BY ' || pg_catalog.quote_ident(sn.nspname) || '.' || pg_catalog.quote_ident(sf.opfname), ''), E',\n'
                   order by m.amopstrategy, m.amopopr::pg_catalog.regoperator::text collate "C")
            from pg_catalog.pg_amop m
            join pg_catalog.pg_operator mo on mo.oid = m.amopopr
            join pg_catalog.pg_namespace mn on mn.oid = mo.oprnamespace
            left join pg_catalog.pg_opfamily sf on sf.oid = m.amopsortfamily
            left join pg_catalog.pg_namespace sn on sn.oid = sf.opfnamespace
            join pg_catalog.pg_depend md on md.classid = 2602 and md.objid = m.oid and md.refclassid = 2616 and md.refobjid = o.oid
                                        and md.deptype in ('i', 'a')
           where m.amopfamily = o.opcfamily),
         (select pg_catalog.string_agg('FUNCTION ' || m.amprocnum::text || ' (' || pg_catalog.format_type(m.amproclefttype, null) || ', '
                   || pg_catalog.format_type(m.amprocrighttype, null) || ') ' || m.amproc::pg_catalog.regprocedure::text, E',\n'
                   order by m.amprocnum, m.amproc::pg_catalog.regprocedure::text collate "C")
            from pg_catalog.pg_amproc m
            join pg_catalog.pg_depend md on md.classid = 2603 and md.objid = m.oid and md.refclassid = 2616 and md.refobjid = o.oid
                                        and md.deptype in ('i', 'a')
           where m.amprocfamily = o.opcfamily)), o.opcowner, null, null
  from pg_catalog.pg_opclass o
  join pg_catalog.pg_namespace n on n.oid = o.opcnamespace
  join pg_catalog.pg_am am on am.oid = o.opcmethod
  join pg_catalog.pg_opfamily f on f.oid = o.opcfamily
  join pg_catalog.pg_namespace fn on fn.oid = f.opfnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 2753, f.oid, 'operator family', n.nspname, f.opfname || ' USING ' || am.amname,
       pg_catalog.concat_ws(E',\n',
         (select pg_catalog.string_agg('OPERATOR ' || m.amopstrategy::text || ' ' || pg_catalog.quote_ident(mn.nspname) || '.' || mo.oprname
                   || '(' || pg_catalog.format_type(m.amoplefttype, null) || ', ' || pg_catalog.format_type(m.amoprighttype, null) || ')'
                   || coalesce(' FOR ORDER BY ' || pg_catalog.quote_ident(sn.nspname) || '.' || pg_catalog.quote_ident(sf.opfname), ''), E',\n'
                   order by m.amopstrategy, m.amopopr::pg_catalog.regoperator::text collate "C")
            from pg_catalog.pg_amop m
            join pg_catalog.pg_operator mo on mo.oid = m.amopopr
            join pg_catalog.pg_namespace mn on mn.oid = mo.oprnamespace
            left join pg_catalog.pg_opfamily sf on sf.oid = m.amopsortfamily
            left join pg_catalog.pg_namespace sn on sn.oid = sf.opfnamespace
            join pg_catalog.pg_depend md on md.classid = 2602 and md.objid = m.oid and md.refclassid = 2753 and md.refobjid = f.oid
                                        and md.deptype in ('i', 'a')
           where m.amopfamily = f.oid),
         (select pg_catalog.string_agg('FUNCTION ' || m.amprocnum::text || ' (' || pg_catalog.format_type(m.amproclefttype, null) || ', '
                   || pg_catalog.format_type(m.amprocrighttype, null) || ') ' || m.amproc::pg_catalog.regprocedure::text, E',\n'
                   order by m.amprocnum, m.amproc::pg_catalog.regprocedure::text collate "C")
            from pg_catalog.pg_amproc m
            join pg_catalog.pg_depend md on md.classid = 2603 and md.objid = m.oid and md.refclassid = 2753 and md.refobjid = f.oid
                                        and md.deptype in ('i', 'a')
           where m.amprocfamily = f.oid)), f.opfowner, null, null
  from pg_catalog.pg_opfamily f
  join pg_catalog.pg_namespace n on n.oid = f.opfnamespace
  join pg_catalog.pg_am am on am.oid = f.opfmethod
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 3602, c.oid, 'text search configuration', n.nspname, c.cfgname,
       'PARSER ' || pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.prsname)
         || coalesce((select pg_catalog.string_agg(E'\n' || m.tokens || ' WITH ' || m.dictionaries, '' order by m.tokens collate "C")
              from (select tt.alias as tokens, pg_catalog.string_agg(pg_catalog.quote_ident(dn.nspname) || '.' || pg_catalog.quote_ident(d.dictname),
                             ', ' order by cm.mapseqno) as dictionaries
                      from pg_catalog.pg_ts_config_map cm
                      join pg_catalog.ts_token_type(c.cfgparser) tt on tt.tokid = cm.maptokentype
                      join pg_catalog.pg_ts_dict d on d.oid = cm.mapdict
                      join pg_catalog.pg_namespace dn on dn.oid = d.dictnamespace
                     where cm.mapcfg = c.oid and c.cfgparser < 16384
                     group by tt.alias) m), ''), c.cfgowner, null, null
  from pg_catalog.pg_ts_config c
  join pg_catalog.pg_namespace n on n.oid = c.cfgnamespace
  join pg_catalog.pg_ts_parser p on p.oid = c.cfgparser
  join pg_catalog.pg_namespace pn on pn.oid = p.prsnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 3600, d.oid, 'text search dictionary', n.nspname, d.dictname,
       '(TEMPLATE = ' || pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.tmplname) || coalesce(', ' || d.dictinitoption, '') || ')',
       d.dictowner, null, null
  from pg_catalog.pg_ts_dict d
  join pg_catalog.pg_namespace n on n.oid = d.dictnamespace
  join pg_catalog.pg_ts_template t on t.oid = d.dicttemplate
  join pg_catalog.pg_namespace tn on tn.oid = t.tmplnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 3601, p.oid, 'text search parser', n.nspname, p.prsname,
       '(' || pg_catalog.concat_ws(', ', 'START = ' || p.prsstart::pg_catalog.regproc::text, 'GETTOKEN = ' || p.prstoken::pg_catalog.regproc::text,
         'END = ' || p.prsend::pg_catalog.regproc::text, 'LEXTYPES = ' || p.prslextype::pg_catalog.regproc::text,
         case when p.prsheadline <> 0 then 'HEADLINE = ' || p.prsheadline::pg_catalog.regproc::text end) || ')', 0, null, null
  from pg_catalog.pg_ts_parser p
  join pg_catalog.pg_namespace n on n.oid = p.prsnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 3764, t.oid, 'text search template', n.nspname, t.tmplname,
       '(' || pg_catalog.concat_ws(', ', case when t.tmplinit <> 0 then 'INIT = ' || t.tmplinit::pg_catalog.regproc::text end,
         'LEXIZE = ' || t.tmpllexize::pg_catalog.regproc::text) || ')', 0, null, null
  from pg_catalog.pg_ts_template t
  join pg_catalog.pg_namespace n on n.oid = t.tmplnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 2607, c.oid, 'conversion', n.nspname, c.conname,
       case when c.condefault then 'DEFAULT ' else '' end || 'FOR ' || pg_catalog.quote_literal(pg_catalog.pg_encoding_to_char(c.conforencoding))
         || ' TO ' || pg_catalog.quote_literal(pg_catalog.pg_encoding_to_char(c.contoencoding))
         || ' FROM ' || c.conproc::pg_catalog.regproc::text, c.conowner, null, null
  from pg_catalog.pg_conversion c
  join pg_catalog.pg_namespace n on n.oid = c.connamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 2612, l.oid, 'language', '', l.lanname,
       pg_catalog.concat_ws(' ', case when l.lanpltrusted then 'TRUSTED' else 'UNTRUSTED' end,
         case when l.lanplcallfoid <> 0 then 'HANDLER ' || l.lanplcallfoid::pg_catalog.regproc::text end,
         case when l.laninline <> 0 then 'INLINE ' || l.laninline::pg_catalog.regproc::text end,
         case when l.lanvalidator <> 0 then 'VALIDATOR ' || l.lanvalidator::pg_catalog.regproc::text end), l.lanowner, l.lanacl, null
  from pg_catalog.pg_language l where l.lanispl
union all
select 3576, t.oid, 'transform', '', 'FOR ' || pg_catalog.format_type(t.trftype, null) || ' LANGUAGE ' || l.lanname,
       '(' || pg_catalog.concat_ws(', ', case when t.trffromsql <> 0 then 'FROM SQL WITH FUNCTION ' || t.trffromsql::pg_catalog.regprocedure::text end,
         case when t.trftosql <> 0 then 'TO SQL WITH FUNCTION ' || t.trftosql::pg_catalog.regprocedure::text end) || ')', 0, null, null
  from pg_catalog.pg_transform t
  join pg_catalog.pg_language l on l.oid = t.trflang
union all
select 2601, a.oid, 'access method', '', a.amname,
       'TYPE ' || case a.amtype when 'i' then 'INDEX' else 'TABLE' end || ' HANDLER ' || a.amhandler::pg_catalog.regproc::text, 0, null, null
  from pg_catalog.pg_am a where a.oid >= 16384
union all
select 2328, w.oid, 'foreign-data wrapper', '', w.fdwname,
       pg_catalog.concat_ws(' ', case when w.fdwhandler <> 0 then 'HANDLER ' || w.fdwhandler::pg_catalog.regproc::text end,
         case when w.fdwvalidator <> 0 then 'VALIDATOR ' || w.fdwvalidator::pg_catalog.regproc::text end), w.fdwowner, w.fdwacl, w.fdwoptions
  from pg_catalog.pg_foreign_data_wrapper w
