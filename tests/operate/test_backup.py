"""Backups of real servers: taken, listed, verified, removed; what stands in the way is said."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import installation
from tests.operate.backups import Ground, ground, program

from pgcharter.errors import ConnectError, PgcharterError, RefusedError, UnavailableError
from pgcharter.operate import backup_receive, backup_render, backup_source, backup_wal, restore
from pgcharter.operate.backup_extract import extract
from pgcharter.operate.backup_model import Until
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_settings import BackupSection
from pgcharter.operate.backup_wal import Segment, lsn_number
from pgcharter.servers import account, folders, lifecycle


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with ground() as made:
        made.run(
            "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT i, repeat('x', i % 100) FROM generate_series(1, 5000) i"
        )
        yield made


def holding(engine: Native) -> dict[str, tuple[bool, str]]:
    return {e.name.removeprefix("backup."): (e.holds, e.seen) for e in engine.check()}


def test_backups_are_taken_listed_verified_and_removed(place: Ground) -> None:
    told: list[str] = []
    full = place.engine.take("full", lambda what, *_: told.append(what))
    assert {"copying the database", "waiting for the log"} <= set(told)
    place.run("UPDATE t SET v = 'new' WHERE id < 50")
    part = place.engine.take("incremental")
    again = place.engine.take("incremental")
    dump = place.engine.take("logical")
    assert place.engine.backups() == (full, part, again, dump)
    assert (part.base, again.base) == (full.id, part.id)
    assert part.stored < full.stored / 3
    assert full.ended >= full.began > datetime.now(UTC) - timedelta(minutes=5)
    for one in (full, part, again, dump):
        assert place.engine.verify(one) == ()
    plain = place.root.parent / "plain"
    names = [p.name for p in extract(place.engine.repository(), dump, plain)]
    assert names == ["postgres.dump", "globals.sql"]
    listed = subprocess.run([place.program("pg_restore"), "--list", plain / names[0]], capture_output=True, text=True, check=True)
    assert "TABLE DATA public t" in listed.stdout
    with pytest.raises(RefusedError, match="nothing is overwritten"):
        extract(place.engine.repository(), dump, plain)
    with pytest.raises(RefusedError, match="is a logical one"):
        restore.plan(place.engine, Until(), place.root.parent / "new", dump.id)
    at = max(b.ended for b in place.engine.backups()) + timedelta(days=20)
    assert place.engine.prune(dry_run=True, now=at) == ()
    newest = place.engine.take("full")
    at = newest.ended + timedelta(days=13)
    place.engine.hold(part, "case 4711")
    before = {p.name for p in (place.root / "wal" / "00000001").iterdir()}
    assert replace(place.engine, section=replace(place.section, keep="1d")).prune(dry_run=False, now=at) == (again,)
    place.engine.hold(part, "")
    going = replace(place.engine, section=replace(place.section, keep="1d")).prune(dry_run=False, now=at)
    assert [b.id for b in going] == [full.id, part.id]
    assert place.engine.backups() == (dump, newest)
    left = {p.name for p in (place.root / "wal" / "00000001").iterdir()}
    first = Segment.at(1, lsn_number(newest.start_lsn), place.engine.repository().about.segment).name
    assert left < before
    assert min(n[:24] for n in left) == first
    assert place.engine.verify(newest) == ()


def test_check_asks_the_live_server(place: Ground) -> None:
    found = holding(place.engine)
    assert {n for n, (holds, _) in found.items() if not holds} <= {"manifests"}
    assert "was there and whole after" in found["archive"][1]
    quick = replace(place.engine, section=replace(place.section, wait="1s"))
    real = place.run("SHOW archive_command")[0][0]
    try:
        place.run("ALTER SYSTEM SET archive_command = '/bin/true'", "SELECT pg_reload_conf()")
        place.run("SELECT pg_switch_wal()")
        holds, seen = holding(quick)["archive"]
        assert not holds
        assert "its archive_command says yes without storing anything here" in seen
        place.run("ALTER SYSTEM SET archive_command = '/bin/false'", "SELECT pg_reload_conf()")
        holds, seen = holding(quick)["archive"]
        assert not holds
        assert "archive_command fails" in seen
        with pytest.raises(PgcharterError, match="did not arrive in the repository within 1 s"):
            quick.take("full")
        assert not quick.repository().leftovers()
    finally:
        place.run("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
    assert place.run("SHOW archive_command")[0][0] == real
    place.switch()
    found = holding(place.engine)
    assert found["archive"][0]
    assert not found["log"][0] or not place.engine.backups()  # what /bin/true has lost is a gap


def test_what_is_damaged_in_a_backup_is_told(place: Ground) -> None:
    made = place.engine.take("full")
    folder = place.engine.repository().folder(made.id)
    whole = (folder / "base.tar.zst").read_bytes()
    for data, why in (
        (whole[: len(whole) // 2], "it was cut off or changed"),
        (whole[:5000] + bytes([whole[5000] ^ 4]) + whole[5001:], "its checksum is not the one it was written with"),
    ):
        (folder / "base.tar.zst").write_bytes(data)
        assert why in place.engine.verify(made)[0]
    (folder / "base.tar.zst").unlink()
    assert "cannot be read" in place.engine.verify(made)[0]
    with pytest.raises(PgcharterError, match="no incremental backup can be made on"):
        place.engine.take("incremental")
    (folder / "base.tar.zst").write_bytes(whole)
    segment = Segment.at(1, lsn_number(made.start_lsn), place.engine.repository().about.segment)
    path = backup_wal.stored(place.engine.repository(), segment.name)
    assert path is not None
    kept = path.read_bytes()
    path.unlink()
    assert f"segment {segment.name} is missing; without it backup {made.id} cannot be used" in place.engine.verify(made)
    path.write_bytes(kept)
    assert place.engine.verify(made) == ()


def test_files_of_another_backup_are_told(place: Ground) -> None:
    one, other = place.engine.take("full"), place.engine.take("full")
    repository = place.engine.repository()
    mine, its = (repository.folder(b.id) / "backup_manifest.zst" for b in (one, other))
    kept = mine.read_bytes()
    mine.write_bytes(its.read_bytes())
    changed = next(f for f in other.facts["files"] if f["name"] == "backup_manifest.zst")
    facts = {**one.facts, "files": [changed if f["name"] == "backup_manifest.zst" else f for f in one.facts["files"]]}
    repository.list(replace(one, facts=facts))  # even a manifest that fits the file does not help
    assert "is that of another backup" in place.engine.verify(repository.find(one.id))[0]
    mine.write_bytes(kept)
    repository.list(one)


def test_an_interrupted_backup_is_never_listed_and_cleaned_up(place: Ground) -> None:
    repository = place.engine.repository()
    folder = repository.folder("20200101T000000Z-full")
    folder.mkdir()
    (folder / "base.tar.zst").write_bytes(b"half")
    assert folder in repository.leftovers()
    assert all(b.id != folder.name for b in place.engine.backups())
    made = place.engine.take("full")
    assert not folder.exists()
    assert made in place.engine.backups()


def test_two_backups_at_a_time_are_refused(place: Ground) -> None:
    with place.engine.repository().writing(), pytest.raises(RefusedError, match="another backup is being taken"):
        place.engine.take("full")


def test_least_rights_are_enough(place: Ground) -> None:
    statements = [line for line in backup_render.sql(place.engine, "pgcharter").splitlines() if line.startswith(("CREATE ROLE", "GRANT"))]
    place.run(*(s.rstrip(";") for s in statements), "ALTER ROLE pgcharter_backup PASSWORD 'secret'")
    engine = replace(place.engine, dsn=make_conninfo(place.server.dsn(), user="pgcharter_backup", password="secret"))
    found = holding(engine)
    assert found["rights"] == (True, "pgcharter_backup may do what is needed")
    assert found["archive"][0]
    made = engine.take("full")
    assert engine.verify(made) == ()
    place.run("ALTER ROLE pgcharter_backup NOREPLICATION")
    with pytest.raises(ConnectError) as refused:
        engine.take("full")
    assert "a role with REPLICATION" in refused.value.hint


def test_a_backup_of_another_system_is_refused(place: Ground) -> None:
    with ground(17, quick=False) as other, pytest.raises(RefusedError, match="holds backups of another server"):
        replace(other.engine, section=place.section).take("full")


def test_encrypted_backups_at_two_places(monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(os.urandom(32)).decode()
    monkeypatch.setenv("BACKUP_KEY", key)
    with ground(15, quick=False) as place:
        second = place.server.account.make_folder(place.root.parent / "second")
        file = place.root.parent / "key"
        file.write_text(key)
        place.server.account.give(file)
        place.section = replace(place.section, second=str(second), key_file=str(file), compression="gzip")
        place.run("CREATE TABLE secret AS SELECT 'hidden in plain sight' AS v FROM generate_series(1, 1000)")
        made = place.engine.take("full")
        for engine in (place.engine, place.second):
            assert engine.backups() == (made,)
            assert engine.verify(made) == ()
        for path in place.root.parent.glob("*/backups/*/*.tar*"):
            assert path.name.endswith(".tar.gz.enc")
            assert b"hidden" not in path.read_bytes()
        log = list((place.root / "wal").glob("*/*"))
        assert log
        assert all(p.name.endswith(".gz.enc") for p in log)
        with pytest.raises(UnavailableError, match="PostgreSQL 15 cannot make incremental backups"):
            place.engine.take("incremental")
        shutil.rmtree(place.root / "backups" / made.id)
        assert place.engine.backups() == ()
        assert place.second.verify(made) == ()
        file.unlink()
        with pytest.raises(PgcharterError, match="the key of backups cannot be read from file"):
            place.engine.backups()


def test_log_is_received_where_the_server_cannot_send_it() -> None:
    with ground(16, settings={"archive_mode": "off", "archive_command": ""}, log="receive") as place:
        backup_receive.receive(place.engine, once=True)
        place.run("CREATE TABLE t AS SELECT generate_series(1, 20000) AS n", "SELECT pg_switch_wal()")
        backup_receive.receive(place.engine, once=True)
        there = backup_wal.segments(place.engine.repository(), 1)
        assert there
        with subprocess.Popen(  # a backup waits for its log, so something must bring it
            [sys.executable, "-c", RECEIVER, place.server.dsn(), str(place.root)], stderr=subprocess.PIPE, text=True
        ) as receiver:
            try:
                made = place.engine.take("full")
            finally:
                receiver.kill()
        assert place.engine.verify(made) == ()
        found = holding(replace(place.engine, section=replace(place.section, wait="1s")))
        assert "archive_mode" not in found["settings"][1] or found["settings"][0]
        backup_receive.receive(place.engine, once=True)  # the other one has let go of the slot
        assert not list((place.root / "incoming").glob("0000000100000000000000??"))


RECEIVER = """
import sys
from pgcharter.operate import backup_receive
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_settings import BackupSection
from pgcharter.operate.backup_settings import BackupSection
backup_receive.receive(Native(BackupSection(repository=sys.argv[2], log="receive"), sys.argv[1]))
"""


def test_a_disk_that_is_full_is_a_clear_sentence(place: Ground, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(
        f'[environments.here]\ndsn_env = "DB"\n[backup]\nrepository = "{place.root}"\nwait = "20s"\n', encoding="utf-8"
    )
    before = place.engine.backups()
    limited = f"ulimit -f 1000; exec {sys.executable} -m pgcharter backup take"  # bytes that one file may have: refused like a full disk
    done = subprocess.run(
        ["sh", "-c", limited], cwd=tmp_path, env={**os.environ, "DB": place.server.dsn()}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "the repository of backups could not be written: file too large" in done.stderr
    assert place.engine.backups() == before
    assert not place.engine.repository().leftovers()


def test_a_damaged_page_of_the_source_is_not_backed_up() -> None:
    who = account.current()
    home = folders.private(who)
    root = who.make_folder(home / "repository")
    command = backup_render.archive_command(program(), root)
    settings = {"archive_mode": "on", "archive_command": command, "autovacuum": False}
    try:
        with lifecycle.start(who.make_folder(home / "s"), installation(18), settings=settings, ephemeral=False) as server:  # with checksums
            place = Ground(server, root, BackupSection(repository=str(root), wait="20s"))
            place.run("CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i", "VACUUM t", "CHECKPOINT")
            path = server.data / str(place.run("SELECT pg_relation_filepath('t')")[0][0])
            page = bytearray(path.read_bytes())
            page[5000] ^= 1
            path.write_bytes(bytes(page))
            with pytest.raises(
                PgcharterError, match="pages of the database are damaged: their checksums do not fit, so no backup was kept"
            ):
                place.engine.take("full")
            assert place.engine.backups() == ()
            assert not place.engine.repository().leftovers()
    finally:
        folders.remove(home)


def test_a_standby_that_does_not_follow_is_told() -> None:
    for row, why in (
        ((1.0, "0/1", "0/1", "streaming", True, 1.0), "its replay is paused"),
        ((1.0, "0/1", "0/1", None, False, None), "it receives nothing from its primary"),
        ((1.0, "0/1", "0/1", "streaming", False, 4000.0), "its primary was last heard 4000 s ago"),
        ((4000.0, "0/2", "0/1", "streaming", False, 1.0), "it is 4000 s behind"),
        ((4000.0, "0/1", "0/1", "streaming", False, 1.0), ""),  # idle, but whole
    ):
        assert backup_source.stale(*row, rpo=300) == why  # type: ignore[arg-type]


def test_commands(place: Ground, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(
        f'[environments.here]\ndsn_env = "DB"\n[backup]\nrepository = "{place.root}"\nwait = "20s"\n', encoding="utf-8"
    )
    environment = {**os.environ, "DB": place.server.dsn(), "COLUMNS": "200"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pgcharter", "backup", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, input="n\n", capture_output=True, text=True, check=False)

    taken = run("take")
    assert taken.returncode == 0, taken.stderr
    assert "marked 1 tables, 5000 rows at" in taken.stdout
    listed = json.loads(run("list", "--format", "json").stdout)
    assert listed["format"] == "pgcharter-backups"
    newest = listed["backups"][-1]["id"]
    assert newest in taken.stdout
    assert run("restore", str(tmp_path / "new")).returncode == 4  # nobody said yes
    late = run("restore", str(tmp_path / "new"), "--to", "2031-01-01 00:00:00Z", "--yes")
    assert late.returncode == 3
    assert "is after the end of the log" in late.stderr
