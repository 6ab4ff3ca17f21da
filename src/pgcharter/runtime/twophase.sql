-- Transactions over several databases. {…} are numbers and literals, since all of this goes by the simple protocol.
-- What is said of a query stands below its name: another may follow it in one message.

-- name: place
SELECT c.system_identifier::text, d.oid, pg_catalog.current_setting('max_prepared_transactions'), pg_catalog.pg_is_in_recovery(),
       pg_catalog.pg_postmaster_start_time()::text
  FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database()

-- name: epoch
SELECT e.epoch, pg_catalog.pg_try_advisory_lock({life}, (e.epoch % 2147483648)::integer)
  FROM (SELECT pg_catalog.nextval('pgcharter.two_phase_epoch') AS epoch OFFSET 0) e

-- name: session
-- What a session of the coordinator needs whatever the role or the database is set to.
SELECT pg_catalog.set_config(name, CASE name WHEN 'synchronous_commit' THEN 'on' ELSE '0' END, false)
  FROM pg_catalog.pg_settings
 WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')
    OR (name = 'synchronous_commit' AND setting = 'off')

-- name: decide
-- No row: the session does not hold its epoch any more, so others may have taken the transaction for abandoned.
INSERT INTO pgcharter.two_phase_log (epoch, number, coordinator, decision, participants)
SELECT {epoch}, {number}, {coordinator}, {decision}, {participants}
 WHERE EXISTS (
       SELECT FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.classid = {life} AND l.objid = {epoch} % 2147483648 AND l.objsubid = 2 AND l.granted
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
          AND l.pid = pg_catalog.pg_backend_pid())
RETURNING true

-- name: forget
DELETE FROM pgcharter.two_phase_log WHERE epoch = {epoch} AND number = {number}

-- name: decision
SELECT decision FROM pgcharter.two_phase_log WHERE epoch = {epoch} AND number = {number}

-- name: decisions
SELECT epoch, number, decision, participants::text FROM pgcharter.two_phase_log ORDER BY epoch, number

-- name: gone
SELECT pg_catalog.pg_try_advisory_lock({life}, ({epoch} % 2147483648)::integer)

-- name: left
SELECT pg_catalog.pg_advisory_unlock({life}, ({epoch} % 2147483648)::integer)

-- name: prepared
-- Of the whole server, whatever database is asked.
SELECT gid, database, owner, extract(epoch FROM prepared)::text, extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::text
  FROM pg_catalog.pg_prepared_xacts
 ORDER BY prepared, gid

-- name: begun
SET LOCAL pgcharter.two_phase = {gid}

-- name: same
-- The setting was local to the transaction: where it is another one by now, the cast fails and says so.
SELECT CASE WHEN pg_catalog.current_setting('pgcharter.two_phase', true) = {gid} THEN 1
            ELSE ('pgcharter two-phase' || COALESCE(pg_catalog.current_setting('pgcharter.two_phase', true), ''))::integer END
