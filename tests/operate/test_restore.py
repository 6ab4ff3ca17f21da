"""Restores to a time, a position, a name, a moment before a migration: exactly those rows; never over anything."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.operate.backups import Ground, empty, ground

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.operate import backup_native_restore, backup_wal, drill_server, restore
from pgcharter.operate.backup_model import Until
from pgcharter.operate.backup_wal import Segment, lsn_number


def steps(place: Ground) -> list[tuple[datetime, str]]:
    """Ten transactions; the time and the position behind each."""
    found = []
    for number in range(10):
        place.run(f"INSERT INTO t VALUES ({number})")
        time.sleep(0.002)
        at, lsn = place.run("SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text")[0]
        assert isinstance(at, datetime)
        found.append((at, str(lsn)))
        time.sleep(0.002)
    return found


@pytest.fixture(scope="module")
def story() -> Iterator[tuple[Ground, list[tuple[datetime, str]]]]:
    with ground() as place:
        place.run("CREATE TABLE t (n int)")
        place.engine.take("full")
        found = steps(place)
        place.run("SELECT pg_create_restore_point('here')", "INSERT INTO t VALUES (100)")
        place.engine.take("incremental")
        place.run("INSERT INTO t VALUES (101)")
        place.switch()
        yield place, found


def rows(place: Ground, until: Until, name: str = "", folder: str = "restored", table: str = "t") -> list[int]:
    """What a restore holds."""
    made = restore.plan(place.engine, until, empty(place, folder), name)
    done = place.engine.restore(made.goal.backup, until, made.folder)
    who = place.server.account
    conf = made.folder.with_name("conf")
    with drill_server.started(done, conf, who, done.settings) as copy, copy.connect("postgres") as conn:
        found = [int(n) for (n,) in conn.execute(f"SELECT n FROM {table} ORDER BY n".encode()).fetchall()]
    for path in (made.folder, conf, *done.work):
        shutil.rmtree(path)
    return found


def test_a_restore_holds_exactly_what_was_there(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, found = story
    at, lsn = found[4]
    assert rows(place, Until(time=at)) == [0, 1, 2, 3, 4]
    assert rows(place, Until(lsn=lsn, inclusive=False)) == [0, 1, 2, 3, 4]
    assert rows(place, Until(name="here")) == list(range(10))
    assert rows(place, Until()) == [*range(10), 100, 101]
    full = place.engine.backups()[0]
    assert rows(place, Until(), full.id) == [*range(10), 100, 101]


def test_the_nearest_backup_is_chosen(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, found = story
    full, part = place.engine.backups()
    assert place.engine.choose(Until(time=found[3][0])) == full
    assert place.engine.choose(Until(lsn=found[3][1])) == full
    assert place.engine.choose(Until(name="here")) == full
    assert place.engine.choose(Until()) == part
    with pytest.raises(PgcharterError, match=r"no backup ended before .* so nothing leads there: the oldest"):
        place.engine.choose(Until(time=full.began - timedelta(hours=1)))
    with pytest.raises(PgcharterError, match="so it cannot lead there"):
        restore.plan(place.engine, Until(time=found[3][0]), empty(place), part.id)
    with pytest.raises(PgcharterError, match="there is no restore point 'nowhere' in the log") as refused:
        place.engine.choose(Until(name="nowhere"))
    assert "here" in refused.value.hint
    with pytest.raises(PgcharterError, match="the log in the repository ends at 0/"):
        place.engine.choose(Until(lsn="99/0"))


def test_missing_log_is_said_before_anything_starts(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, found = story
    repository = place.engine.repository()
    full = place.engine.backups()[0]
    last = Segment.at(1, lsn_number(found[-1][1]), repository.about.segment)
    path = backup_wal.stored(repository, last.name)
    assert path is not None
    kept = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(PgcharterError, match=f"segment {last.name} of the log is missing"):
            restore.plan(place.engine, Until(), empty(place), full.id)
        with pytest.raises(PgcharterError, match="cannot be reached from backup"):
            restore.plan(place.engine, Until(time=found[-1][0] + timedelta(seconds=0.001)), empty(place), full.id)
    finally:
        path.write_bytes(kept)
    path.write_bytes(kept[:-9] + bytes([kept[-9] ^ 1]) + kept[-8:])
    try:
        with pytest.raises(PgcharterError, match="damaged"):
            place.engine.restore(full, Until(), empty(place))
        with pytest.raises(RefusedError) as refused:
            restore.plan(place.engine, Until(), empty(place))
        assert "rm -r" in refused.value.hint
    finally:
        path.write_bytes(kept)
        for left in place.root.parent.glob("restored*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def test_nothing_is_restored_over_what_is_there(story: tuple[Ground, list[tuple[datetime, str]]], tmp_path: Path) -> None:
    place, _ = story
    with pytest.raises(RefusedError, match=r"a PostgreSQL server \(process \d+\) runs on"):
        restore.plan(place.engine, Until(), place.server.data)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(RefusedError, match="is not empty, and nothing is restored over what is there"):
        restore.plan(place.engine, Until(), tmp_path / "full")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(RefusedError, match="is not a folder"):
        restore.plan(place.engine, Until(), tmp_path / "link")
    assert place.run("SELECT count(*) FROM t") == [(12,)]


def test_a_restored_server_goes_on_in_a_timeline_of_its_own(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, found = story
    made = restore.plan(place.engine, Until(time=found[4][0]), empty(place, "alive"))
    done = restore.restore(place.engine, made, start=True, say=lambda _: None)
    assert done.recovering > 0
    assert done.last is not None
    assert done.last <= found[4][0]
    assert sorted(p.name for p in made.folder.parent.glob("alive*")) == ["alive"]
    prepared = replace(done.prepared, settings={})
    archiving = {"archive_mode": "on", "archive_command": str(place.run("SHOW archive_command")[0][0]), "wal_level": "replica"}
    archiving["max_connections"] = "321"  # as a server that was given more on the way
    with (
        drill_server.started(prepared, made.folder.with_name("conf"), place.server.account, archiving) as copy,
        copy.connect("postgres") as conn,
    ):
        middle = conn.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()[0]  # type: ignore[index]
        conn.execute("INSERT INTO t VALUES (1000)")
        conn.execute("SELECT pg_switch_wal()")
        deadline = time.monotonic() + 30
        while not conn.execute("SELECT last_archived_wal >= '00000002' FROM pg_stat_archiver").fetchone()[0]:  # type: ignore[index]
            assert time.monotonic() < deadline
            time.sleep(0.05)
    repository = place.engine.repository()
    assert backup_wal.timelines(repository) == (1, 2)
    folder = empty(place, "paused")
    again = place.engine.restore(place.engine.backups()[0], Until(), folder)
    wanted = {**again.settings, "recovery_target_action": "pause", "recovery_target_lsn": middle}
    paused = drill_server.started(again, folder.with_name("conf"), place.server.account, wanted, wait="paused")
    with paused as copy, copy.connect("postgres") as conn:
        assert conn.execute("SHOW max_connections").fetchone() == ("321",)
    for path in (folder, *again.work):
        shutil.rmtree(path)
    assert rows(place, Until(), place.engine.backups()[0].id) == [0, 1, 2, 3, 4, 1000]
    assert rows(place, Until(timeline="1"), place.engine.backups()[0].id) == [*range(10), 100, 101]
    with pytest.raises(PgcharterError, match="from which timeline 2 does not come"):
        restore.plan(place.engine, Until(), empty(place), place.engine.backups()[1].id)
    shutil.rmtree(repository.wal / "00000002")
    shutil.rmtree(made.folder)


def test_tablespaces_and_before_a_migration() -> None:
    with ground(17) as place:
        space = place.server.account.make_folder(place.root.parent / "space")
        place.run(f"CREATE TABLESPACE far LOCATION '{space}'", "CREATE TABLE t (n int) TABLESPACE far", "INSERT INTO t VALUES (1)")
        place.engine.take("full")
        place.run("INSERT INTO t VALUES (2)")
        place.engine.take("incremental")
        import psycopg

        from pgcharter.migrate import ledger

        with psycopg.connect(place.server.dsn(), autocommit=True) as conn:
            ledger.install(conn)
        place.run("INSERT INTO t VALUES (3)")
        place.run("INSERT INTO pgcharter.schema_migrations (version, migration_name, outcome) VALUES ('0042', 'lose_rows', 'running')")
        place.run("DELETE FROM t", "UPDATE pgcharter.schema_migrations SET outcome = 'done'")
        place.switch()
        until = restore.until_of(before="0042", dsn=place.server.dsn())
        for backup in place.engine.backups():
            assert rows(place, until, backup.id) == [1, 2, 3]
            assert list(empty(place, "restored.tablespaces").iterdir())
            shutil.rmtree(empty(place, "restored.tablespaces"))
        assert rows(place, Until()) == []
        assert [p.name for p in space.iterdir()] != []
        with pytest.raises(PgcharterError, match="the ledger knows no run of a migration 0043"):
            restore.until_of(before="0043", dsn=place.server.dsn())


def test_targets_are_read_with_care() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert restore.until_of(to="10min ago", now=now).time == now - timedelta(minutes=10)
    assert restore.until_of(to="2026-11-22 03:15:00+02:00").time == datetime(2026, 11, 22, 1, 15, tzinfo=UTC)
    for word, why in (("2026-11-22 03:15:00", "says no zone"), ("yesterday", "is no time")):
        with pytest.raises(UsageError, match=why):
            restore.until_of(to=word)
    with pytest.raises(UsageError, match="name two places to stop at"):
        restore.until_of(to="10min ago", lsn="0/1")
    with pytest.raises(UsageError, match="is no position"):
        restore.until_of(lsn="12345")


def test_an_archive_never_writes_outside_of_its_folder(tmp_path: Path) -> None:
    import io
    import tarfile

    from pgcharter.servers import account

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("../out", "/out"):
            info = tarfile.TarInfo(name)
            tar.addfile(info)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        for member in tar:
            with pytest.raises(PgcharterError, match="would lie outside of its folder"):
                backup_native_restore._member(tar, member, tmp_path, tmp_path / "spaces", account.current())
