from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.conftest import every_major
from tests.migrate.scenario import migration, unit

from pgcharter.db import Connection, connect
from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.examples import build
from pgcharter.migrate import ledger, runner
from pgcharter.migrate.files import read
from pgcharter.migrate.model import Migration, Unit
from pgcharter.servers.lifecycle import Server

ONE = Migration("001", "make_t", checksum="a" * 64, text="CREATE TABLE t ();", up=(Unit(("CREATE TABLE t ()",)),), author="Zoë")


@every_major
def test_installing_twice_is_once(conn: Connection, major: int) -> None:
    ledger.install(conn)
    ledger.install(conn)
    assert ledger.installed(conn)
    assert ledger.read(conn) == ()


def test_two_can_install_at_once(database: str) -> None:
    def install(_: int) -> bool:
        with connect(database) as conn:
            ledger.install(conn)
            return ledger.installed(conn)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(install, range(6)))


def test_no_ledger_reads_as_empty_and_makes_nothing(conn: Connection) -> None:
    assert ledger.read(conn) == ()
    assert not ledger.installed(conn)
    assert conn.execute("SELECT to_regnamespace('pgcharter')").fetchone() == (None,)


def test_a_run_is_recorded_from_start_to_end(conn: Connection) -> None:
    ledger.install(conn)
    run = ledger.start(conn, ONE)
    assert [(r.id, r.outcome, r.finished) for r in ledger.read(conn)] == [(run, "running", None)]
    ledger.unit_done(conn, run, 0, ONE.up[0])
    ledger.finish(conn, run, "done")
    (row,) = ledger.read(conn)
    assert (row.version, row.name, row.outcome, row.author, row.checksum) == ("001", "make_t", "done", "Zoë", "a" * 64)
    assert row.role == conn.info.user
    assert row.finished
    assert row.started
    assert row.finished >= row.started
    assert row.duration is not None
    assert ledger.text(conn, run) == ONE.text


def test_one_statement_records_a_whole_run(conn: Connection) -> None:
    ledger.install(conn)
    run = ledger.record(conn, ONE, seconds=1.5)
    (row,) = ledger.read(conn)
    assert (row.id, row.outcome, row.duration) == (run, "done", 1500)
    assert row.finished
    assert row.started
    assert (row.finished - row.started).total_seconds() == pytest.approx(1.5)


def test_an_interrupted_backfill_knows_where_it_was(conn: Connection) -> None:
    ledger.install(conn)
    run = ledger.start(conn, ONE)
    fill = Unit(("UPDATE t SET a = 1",))
    ledger.unit_done(conn, run, 0, ONE.up[0])
    ledger.checkpoint(conn, run, 1, fill, {"id": 500}, 500)
    ledger.checkpoint(conn, run, 1, fill, {"id": 900}, 900)
    ledger.finish(conn, run, "failed", "the server went away")
    found = ledger.progress(conn, run)
    assert found[0].done
    assert found[0].checksum == ledger.unit_checksum(ONE.up[0])
    assert (found[1].done, found[1].position, found[1].rows) == (False, {"id": 900}, 900)
    ledger.resume(conn, run, replace(ONE, text="other", checksum="b" * 64))
    (row,) = ledger.read(conn)
    assert (row.outcome, row.error, row.checksum, row.finished) == ("running", "", "b" * 64, None)
    ledger.unit_done(conn, run, 1, fill)
    assert ledger.progress(conn, run)[1].done
    assert ledger.progress(conn, run)[1].rows == 900


def test_a_unit_that_is_rolled_back_is_not_done(database: str) -> None:
    with connect(database) as conn:
        ledger.install(conn)
        run = ledger.start(conn, ONE)
        with conn.transaction(force_rollback=True):
            ledger.unit_done(conn, run, 0, ONE.up[0])
        assert ledger.progress(conn, run) == {}


def test_a_failed_run_can_be_set_aside_but_a_finished_one_not(conn: Connection) -> None:
    ledger.install(conn)
    failed, done = ledger.start(conn, ONE), ledger.record(conn, ONE)
    ledger.finish(conn, failed, "failed", "why")
    ledger.clear(conn, failed)
    ledger.clear(conn, done)
    assert [(r.outcome, r.error) for r in ledger.read(conn)] == [("cleared", "why"), ("done", "")]


def test_a_very_long_text_is_not_kept(conn: Connection) -> None:
    ledger.install(conn)
    run = ledger.record(conn, replace(ONE, text="-" * (ledger.LONGEST + 1)))
    assert ledger.text(conn, run) is None


def test_the_record_that_up_keeps_is_taken_over_and_up_goes_on_with_it(database: str, tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    for name in ("001_x", "002_y", "seed/001_x"):
        (tmp_path / f"{name}.sql").write_text("SELECT 1;\r\n", newline="")
    files = build.read_files(tmp_path)
    with connect(database) as conn:
        build.install(conn)
        assert build.build(conn, files[:1]) == 1
        assert [(r.version, r.checksum, r.outcome) for r in ledger.read(conn)] == [("001_x", files[0].checksum, "done")]
        ledger.install(conn)
        (row,) = ledger.read(conn)
        assert (row.version, row.checksum, row.kind, row.outcome) == ("001_x", files[0].checksum, "versioned", "done")
        build.install(conn)
        assert build.build(conn, files) == 2
        assert [r.version for r in ledger.read(conn)] == ["001_x", "002_y", "seed/001_x"]
        assert build.build(conn, files) == 0


def test_what_migrate_applied_is_applied_for_up(database: str, tmp_path: Path) -> None:
    (tmp_path / "001_x.sql").write_text("SELECT 1;\r\n", newline="")
    (migration,) = read(str(tmp_path)).migrations
    files = build.read_files(tmp_path)
    with connect(database) as conn:
        ledger.install(conn)
        ledger.record(conn, migration)
        assert build.build(conn, files) == 0
        ledger.record(conn, migration, "down")
        assert build.build(conn, files) == 1


@pytest.mark.parametrize(
    ("encoding", "kept", "said"), [("LATIN1", None, "Zoë ??"), ("WIN1252", None, "Zoë ??"), ("SQL_ASCII", "-- 日本", "Zoë 日本")]
)
def test_databases_of_any_encoding_keep_what_they_can(major_server: Server, encoding: str, kept: str | None, said: str) -> None:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE ledger_encoded TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'".encode())
        with connect(major_server.dsn("ledger_encoded"), client_encoding="UTF8") as conn:
            ledger.install(conn)
            run = ledger.record(conn, replace(ONE, text="-- 日本", description="Zoë 日本"))
            assert ledger.text(conn, run) == kept
            assert ledger.read(conn)[0].description == said
        admin.execute("DROP DATABASE ledger_encoded WITH (FORCE)")


def test_a_newer_ledger_is_left_alone(conn: Connection) -> None:
    ledger.install(conn)
    conn.execute("UPDATE pgcharter.components SET component_version = 99")
    with pytest.raises(UnavailableError, match="version 99"):
        ledger.install(conn)


def test_a_column_too_few_is_damage(conn: Connection) -> None:
    ledger.install(conn)
    conn.execute("ALTER TABLE pgcharter.schema_migrations DROP COLUMN outcome CASCADE")
    with pytest.raises(PgcharterError, match="the ledger is damaged"):
        ledger.read(conn)


@pytest.mark.parametrize("table", ["schema_migrations", "schema_migration_units"])
def test_a_table_that_is_gone_is_damage_and_no_empty_ledger(conn: Connection, table: str) -> None:
    ledger.install(conn)
    ledger.record(conn, ONE)
    conn.execute(f"DROP TABLE pgcharter.{table} CASCADE".encode())
    for act in (ledger.read, ledger.install):
        with pytest.raises(PgcharterError, match=f"damaged: pgcharter.{table} is gone"):
            act(conn)


@pytest.mark.parametrize("gone", ["schema_migration_units", ""])
def test_a_new_record_keeps_what_is_there(conn: Connection, gone: str) -> None:
    ledger.install(conn)
    ledger.record(conn, ONE)
    if gone:
        conn.execute(f"DROP TABLE pgcharter.{gone}".encode())
    conn.execute("DELETE FROM pgcharter.components WHERE component = 'migrate'")
    assert [(r.version, r.name) for r in ledger.read(conn)] == [("001", "make_t")]
    ledger.install(conn)
    assert [r.version for r in ledger.read(conn)] == ["001"]
    assert ledger.progress(conn, 1) == {}


def test_a_role_without_rights_is_told_what_to_grant(database: str) -> None:
    with connect(database) as conn, conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE ledger_nobody")
        conn.execute("SET LOCAL ROLE ledger_nobody")
        with pytest.raises(PgcharterError, match="cannot be made") as refused:
            ledger.install(conn)
        assert "CREATE SCHEMA pgcharter" in refused.value.hint
    with connect(database) as conn, conn.transaction(force_rollback=True):
        ledger.install(conn)
        conn.execute("CREATE ROLE ledger_nobody")
        conn.execute("SET LOCAL ROLE ledger_nobody")
        with conn.transaction(force_rollback=True), pytest.raises(PgcharterError, match="the ledger cannot be read") as refused:
            ledger.read(conn)
        assert "GRANT USAGE ON SCHEMA pgcharter" in refused.value.hint


def test_who_may_only_read_is_told_before_anything_runs(database: str) -> None:
    with connect(database) as conn, conn.transaction(force_rollback=True):
        ledger.install(conn)
        conn.execute("CREATE ROLE ledger_reader; GRANT USAGE ON SCHEMA pgcharter TO ledger_reader")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA pgcharter TO ledger_reader; SET LOCAL ROLE ledger_reader")
        assert ledger.read(conn) == ()
        with pytest.raises(PgcharterError, match=r"may not write to pgcharter\.schema_migration_units, pgcharter\.schema_m") as refused:
            ledger.install(conn)
        assert "GRANT SELECT, INSERT, UPDATE" in refused.value.hint
    with connect(database, options="-c default_transaction_read_only=on") as conn:
        with pytest.raises(PgcharterError, match="this session may only read"):
            ledger.install(conn)
        assert ledger.read(conn) == ()


def test_values_that_mean_nothing_are_refused_by_the_table(conn: Connection) -> None:
    ledger.install(conn)
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("INSERT INTO pgcharter.schema_migrations (version, outcome) VALUES ('1', 'maybe')")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("ALTER TABLE pgcharter.schema_migrations ALTER run_id DROP IDENTITY", 'null value in column "run_id"'),
        ("CREATE TRIGGER no BEFORE INSERT ON pgcharter.schema_migrations EXECUTE FUNCTION suppress_redundant_updates_trigger()", "must be"),
        ("ALTER TABLE pgcharter.schema_migrations ADD CONSTRAINT no CHECK (version < '002')", "violates check"),
    ],
)
def test_a_ledger_that_takes_no_record_is_not_blamed_on_the_file(database: str, damage: str, said: str) -> None:
    first, second = (migration(number, unit(f"CREATE TABLE t{number} ()")) for number in ("001", "002"))
    assert runner.apply(database, [first]).status == "done"
    with connect(database) as conn:
        conn.execute(damage.encode())
        outcome = runner.apply(database, [first, second])
        assert conn.execute("SELECT to_regclass('t002')").fetchone() == (None,)
    assert (outcome.status, outcome.reason) == ("failed", "server")
    assert outcome.message.startswith("unit 1 of 002 step_002 ran, but the ledger does not take the record of it: ")
    assert said in outcome.message
    assert "of this unit nothing is applied" in outcome.message
    assert outcome.hint.startswith("mend pgcharter.schema_migrations (")
