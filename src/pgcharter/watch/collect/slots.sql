-- Slots: who reads them and what they keep. Temporary ones go with their session.

-- Before 17 nobody knows since when a slot has had no reader: it counts as ten minutes.
-- name: slots
SELECT pg_catalog.quote_ident(slot_name) AS slot, pg_catalog.quote_literal(slot_name) AS slot_sql, coalesce(wal_status, 'reserved') AS status,
       retained AS retained_bytes, CASE WHEN keep > 0 THEN 100.0 * retained / keep END AS retained_percent,
       CASE WHEN keep < 0 THEN retained END AS retained_unlimited_bytes,
       CASE wal_status WHEN 'lost' THEN 2 WHEN 'unreserved' THEN 1 ELSE 0 END AS loss,
       {{since 17: (invalidation_reason IS NOT NULL)::int since 16: coalesce(conflicting, false)::int otherwise 0}} AS conflicting,
       {{since 17: invalidation_reason since 16: 'it conflicts with recovery' otherwise NULL::text}} AS reason,
       CASE WHEN active THEN 0 {{since 17: WHEN synced THEN 0 WHEN inactive_since IS NOT NULL THEN extract(epoch FROM pg_catalog.clock_timestamp() - inactive_since)::float8 otherwise }} ELSE 600 END AS inactive_seconds,
       {{since 17: 'since ' || coalesce(pg_catalog.to_char(inactive_since, 'YYYY-MM-DD HH24:MI'), 'some time') otherwise 'since nobody knows when'}} AS how_long
  FROM (SELECT s.*, (SELECT pg_catalog.pg_size_bytes(setting || CASE WHEN setting = '-1' THEN '' ELSE unit END) FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep,
               greatest(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn), 0)::bigint AS retained
          FROM pg_catalog.pg_replication_slots s) s
 WHERE NOT temporary
 ORDER BY retained DESC NULLS FIRST LIMIT 50

-- name: slot_room
SELECT used, allowed, 100.0 * used / nullif(allowed, 0) AS slots_percent, (used > 0 AND pg_catalog.current_setting('max_slot_wal_keep_size') = '-1')::int AS unlimited
  FROM (SELECT count(*) AS used FROM pg_catalog.pg_replication_slots) s, (SELECT pg_catalog.current_setting('max_replication_slots')::int AS allowed) a

-- name: slot_spills
SELECT pg_catalog.quote_ident(slot_name) AS slot, spill_bytes AS spilled_bytes FROM pg_catalog.pg_stat_replication_slots
