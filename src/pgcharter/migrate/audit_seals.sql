-- The chain of seals over pgcharter.audit_log.

-- name: there
select pg_catalog.to_regclass('pgcharter.audit_log') is not null, pg_catalog.to_regclass('pgcharter.audit_seals') is not null

-- Values as text are the same whoever asks.
-- name: canonical
select pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('DateStyle', 'ISO', true)

-- name: alone
select pg_catalog.pg_try_advisory_xact_lock(1885827940, 2)

-- name: drawn
select case when is_called then last_value else 0 end from pgcharter.audit_log_number

-- Transactions that may have drawn a number and not ended, prepared ones included: whoever draws one has locked the trail before, to write.
-- name: writers
select l.virtualtransaction, coalesce(l.pid, 0), coalesce(a.usename::text, ''), coalesce(extract(epoch from now() - a.xact_start), 0)::float8
  from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'relation' and l.granted and l.mode = 'RowExclusiveLock' and l.relation = 'pgcharter.audit_log'::pg_catalog.regclass
   and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())

-- name: last
select seal, upto, hash from pgcharter.audit_seals order by seal desc limit 1

-- name: pieces
with hashed as (
  select number, month, (pg_catalog.row_number() over (partition by month order by number) - 1) / 1000 as piece,
         pg_catalog.sha256(pg_catalog.convert_to(
           row(month, changed_at, transaction_at, transaction_id, table_schema, table_name, relation, operation, key, key_hash, new_key, old, new,
               session_role, actor, reason, correlation, client_address, statement, depth)::text, 'UTF8')) as hash
    from pgcharter.audit_log where number > %(after)s and number <= %(upto)s
)
select month, pg_catalog.array_agg(number order by number), pg_catalog.string_agg(pg_catalog.substr(hash, 1, 8), ''::bytea order by number),
       pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(number::text, ',' order by number), 'UTF8')
         || pg_catalog.string_agg(hash, ''::bytea order by number))
  from hashed group by month, piece order by month, piece

-- name: insert
insert into pgcharter.audit_seals (seal, sealed_at, kind, month, upto, numbers, prints, digest, previous, hash, note)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- Every seal with what the rows that it is about hash to now.
-- name: seals
select s.seal, s.sealed_at, s.kind, s.month, s.upto, s.numbers, s.prints, s.digest, s.previous, s.hash, s.note, r.numbers, r.prints, r.digest
  from pgcharter.audit_seals s left join lateral (
    select pg_catalog.array_agg(h.number order by h.number) as numbers,
           pg_catalog.string_agg(pg_catalog.substr(h.hash, 1, 8), ''::bytea order by h.number) as prints,
           pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(h.number::text, ',' order by h.number), 'UTF8')
             || pg_catalog.string_agg(h.hash, ''::bytea order by h.number)) as digest
      from (
        select number, pg_catalog.sha256(pg_catalog.convert_to(
           row(month, changed_at, transaction_at, transaction_id, table_schema, table_name, relation, operation, key, key_hash, new_key, old, new,
               session_role, actor, reason, correlation, client_address, statement, depth)::text, 'UTF8')) as hash
          from pgcharter.audit_log l
         where l.month = s.month and l.number between s.numbers[1] and s.numbers[pg_catalog.cardinality(s.numbers)]
      ) h
  ) r on s.kind = 'rows'
 order by s.seal

-- Rows with a number that is sealed long ago, and no seal that has them. In one go along the numbers: each row beside each seal would take
-- quadratic time, and unpack a seal's numbers each time.
-- name: strangers
select number from (
  select number, seals_to, pg_catalog.max(seals_to) over (partition by month order by number, seals_to nulls last) as sealed_to
    from (
      select month, numbers[1] as number, numbers[pg_catalog.cardinality(numbers)] as seals_to from pgcharter.audit_seals where kind = 'rows'
      union all
      select month, number, null from pgcharter.audit_log where number <= %s
    ) both_kinds
  ) along
 where seals_to is null and (sealed_to is null or sealed_to < number)
 order by 1 limit 1000

-- name: months
select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
 where i.inhparent = 'pgcharter.audit_log'::pg_catalog.regclass order by 1

-- Months with a table, and how it stands to the trail: attached, pending (a detachment was cut off), detached.
-- name: standing
select c.relname, case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'pending' else 'attached' end
  from pg_catalog.pg_class c left join pg_catalog.pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'pgcharter.audit_log'::pg_catalog.regclass
 where c.relnamespace = 'pgcharter'::pg_catalog.regnamespace and c.relkind = 'r' and c.relname ~ '^audit_log_[0-9]{4}_[0-9]{2}$' order by 1

-- name: clock
select pg_catalog.clock_timestamp()

-- name: waiting
select pg_catalog.count(*), min(changed_at) from pgcharter.audit_log where number > %s

-- name: unplaced
select pg_catalog.count(*) from pgcharter.audit_log where month < '2000-01-01'

-- name: unsealed_in
select pg_catalog.count(*) from pgcharter.audit_log where month = %s and number > %s

-- name: triggers
select n.nspname, c.relname, t.tgenabled::text from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where t.tgname = '0_pgcharter_audit' and t.tgparentid = 0 order by 1, 2

-- name: forget
delete from pgcharter.managed_objects where schema_name = 'pgcharter' and object_name = %s
