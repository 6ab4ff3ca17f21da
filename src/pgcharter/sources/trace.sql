-- What the running transaction holds. Prepared in the session of the scratch database's owner and run after each statement, in the same
-- message and so in the same transaction; takes no parameters.

-- name: held
select l.relation::bigint, l.mode, c.relkind::text, n.nspname::text, c.relname::text, c.relfilenode::bigint
  from pg_catalog.pg_lock_status() l
  left join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) l.relation
  left join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
 where l.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
   and l.locktype operator(pg_catalog.=) 'relation'
   and l.relation operator(pg_catalog.>=) 16384::oid
   and l.granted

-- name: relations
select c.oid::bigint, null::text, c.relkind::text, n.nspname::text, c.relname::text, c.relfilenode::bigint
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
 where c.oid operator(pg_catalog.>=) 16384::oid
