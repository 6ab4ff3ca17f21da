-- name: facts
select pg_catalog.current_setting('server_version_num')::int, pg_catalog.pg_is_in_recovery(), pg_catalog.clock_timestamp(),
       (select s.setting::bigint from pg_catalog.pg_settings s where s.name = 'wal_segment_size'),
       (select r.rolname::text from pg_catalog.pg_roles r where r.oid = 10),
       pg_catalog.current_database()::text, current_user::text,
       (select coalesce(sum(pg_catalog.pg_database_size(d.oid)), 0)::bigint from pg_catalog.pg_database d
         where pg_catalog.has_database_privilege(d.oid, 'CONNECT') or pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')),
       pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('archive_mode'),
       pg_catalog.current_setting('summarize_wal', true),
       (select s.setting::int from pg_catalog.pg_settings s where s.name = 'archive_timeout'),
       pg_catalog.current_setting('data_checksums'), pg_catalog.current_setting('full_page_writes')

-- name: position
select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() else pg_catalog.pg_current_wal_insert_lsn() end::text,
       pg_catalog.clock_timestamp()

-- name: standby
select extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8,
       pg_catalog.pg_last_wal_receive_lsn()::text, pg_catalog.pg_last_wal_replay_lsn()::text,
       (select r.status from pg_catalog.pg_stat_wal_receiver r), pg_catalog.pg_is_wal_replay_paused(),
       (select extract(epoch from pg_catalog.clock_timestamp() - r.last_msg_receipt_time)::float8 from pg_catalog.pg_stat_wal_receiver r)

-- name: archiver
select archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time, stats_reset,
       coalesce(last_failed_time > last_archived_time, last_failed_time is not null)
  from pg_catalog.pg_stat_archiver

-- name: archive_settings
select s.name::text, s.setting::text from pg_catalog.pg_settings s where s.name in ('archive_command', 'archive_library')

-- name: rights
select r.rolsuper, r.rolreplication,
       pg_catalog.has_function_privilege('pg_catalog.pg_switch_wal()', 'EXECUTE'),
       pg_catalog.has_function_privilege('pg_catalog.pg_create_restore_point(text)', 'EXECUTE'),
       pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE'), pg_catalog.pg_has_role('pg_read_all_data', 'USAGE'),
       (select s.setting::int from pg_catalog.pg_settings s where s.name = 'max_wal_senders'),
       (select count(*)::int from pg_catalog.pg_stat_replication)
  from pg_catalog.pg_roles r where r.rolname = current_user

-- name: tablespaces
select t.oid::text, t.spcname::text, pg_catalog.pg_tablespace_location(t.oid) from pg_catalog.pg_tablespace t
 where pg_catalog.pg_tablespace_location(t.oid) <> '' order by t.oid

-- name: switch
select pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal()), pg_catalog.pg_current_wal_insert_lsn()::text

-- name: emit
select pg_catalog.pg_logical_emit_message(false, 'pgcharter', 'the log is asked whether it arrives')::text

-- name: databases
select d.datname::text from pg_catalog.pg_database d where d.datallowconn and not d.datistemplate order by d.datname

-- name: slot
select s.active, s.restart_lsn::text from pg_catalog.pg_replication_slots s where s.slot_name = %s

-- name: make_slot
select r.lsn::text from pg_catalog.pg_create_physical_replication_slot(%s, true) r
