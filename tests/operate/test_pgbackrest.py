"""Backups by pgBackRest: taken, listed, verified by its reports, removed, restored row-exact; what stands in the way is said."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from tests.operate.backups import Ground, empty, ground
from tests.operate.test_backup import holding
from tests.operate.test_restore import rows, steps

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError, UsageError
from pgcharter.operate import backup_engines, backup_mark, backup_render, backup_wal, drill, drill_server, restore
from pgcharter.operate.backup_model import Until
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_pgbackrest import PgBackRest
from pgcharter.operate.backup_pgbackrest_config import Home
from pgcharter.operate.backup_pgbackrest_program import failed
from pgcharter.operate.backup_wal import Segment, lsn_number


@pytest.fixture(scope="module")
def story() -> Iterator[tuple[Ground, list[tuple[datetime, str]]]]:
    with ground(15, engine="pgbackrest") as place:
        place.run("CREATE TABLE t (n int)")
        place.engine.take("full")
        time.sleep(max(0.0, place.engine.backups()[0].ended.timestamp() - time.time()))  # its times are whole seconds
        found = steps(place)
        place.run("SELECT pg_create_restore_point('here')", "INSERT INTO t VALUES (100)")
        least(place).take("incremental")
        place.run("INSERT INTO t VALUES (101)")
        backup_mark.take(place.engine)
        place.switch()
        yield place, found


def least(place: Ground) -> Native:
    """The engine as a role with the rights that `render` prints, and no more."""
    statements = [s for s in backup_render.sql(place.engine, "pgcharter").splitlines() if s.startswith(("CREATE ROLE", "GRANT"))]
    place.run(*(s.rstrip(";") for s in statements), "ALTER ROLE pgcharter_backup PASSWORD 'secret'")
    return replace(place.engine, dsn=make_conninfo(place.server.dsn(), user="pgcharter_backup", password="secret"))


def engine(place: Ground) -> PgBackRest:
    made = place.engine
    assert isinstance(made, PgBackRest)
    return made


def repo(place: Ground) -> Path:
    return Home(place.root).repository


@contextmanager
def changed(path: Path, data: bytes | None) -> Iterator[None]:
    """A file is another one, or not there, for a while."""
    kept = path.read_bytes()
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(kept)
        path.chmod(0o640)
        os.chown(path, path.parent.stat().st_uid, path.parent.stat().st_gid)


def flipped(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    return bytes(data)


def test_what_info_lists_is_told_as_backups(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    full, part = place.engine.backups()
    assert (full.kind, part.kind, part.base) == ("full", "incremental", full.id)
    assert (full.engine, full.version, full.timeline) == ("pgbackrest", 150000, 1)
    assert full.system == str(place.run("SELECT system_identifier FROM pg_control_system()")[0][0])
    assert full.size > full.stored > part.stored
    assert lsn_number(full.start_lsn) < lsn_number(full.stop_lsn) < lsn_number(part.start_lsn)
    assert full.facts["database"] == "postgres"
    repository = engine(place).repository()
    assert repository.find(str(full.facts["label"])) == full == repository.find(full.id)
    assert [repository.manifest(b.id) for b in (full, part)] == [full, part]  # those who only look find them too
    for one in (full, part):
        assert place.engine.verify(one) == ()


def test_check_asks_program_server_and_repository(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    found = holding(place.engine)
    assert [n for n, (holds, _) in found.items() if not holds] == []
    assert found["program"][1].startswith("pgBackRest 2.")
    assert "was there and whole after" in found["archive"][1]
    quick = replace(place.engine, section=replace(place.section, wait="1s"))
    try:
        place.run("ALTER SYSTEM SET archive_command = '/bin/true pgbackrest'", "SELECT pg_reload_conf()")
        found = holding(quick)
        assert "its archive_command says yes without storing anything here" in found["archive"][1]
        assert "archive_command is not archive-push with" in found["command"][1]
        assert found["configuration"] == (
            False, f"{Home(place.root).config} was out of date and was made anew: archive-timeout",
        )  # fmt: skip
        with pytest.raises(PgcharterError, match="no backup was made: the log did not arrive in time"):
            quick.take("full")
        assert len(quick.backups()) == 2
        lost = [s.name for s in backup_wal.gaps(engine(place).repository(), 1, 0) if s.number > 5]
    finally:
        place.run("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
    place.switch()
    place.engine.check()
    found = holding(place.engine)
    assert not lost  # nothing came behind it then
    assert not found["log"][0]
    newest = place.engine.backups()[-1]
    assert any("nothing after" in p for p in place.engine.verify(newest))  # pgBackRest's own verify says ok


def test_a_restore_holds_exactly_what_was_there(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, found = story
    at, lsn = found[4]
    assert rows(place, Until(time=at)) == [0, 1, 2, 3, 4]
    assert rows(place, Until(lsn=lsn, inclusive=False)) == [0, 1, 2, 3, 4]
    assert rows(place, Until(name="here")) == list(range(10))
    full, part = place.engine.backups()
    assert place.engine.choose(Until(time=found[3][0])) == full
    assert place.engine.choose(Until(lsn=part.stop_lsn)) == part
    with pytest.raises(PgcharterError, match=r"no backup ended before .* so nothing leads there: the oldest"):
        place.engine.choose(Until(time=full.began - timedelta(hours=1)))


def test_a_restored_folder_is_cut_off(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, found = story
    before = sorted(p.name for p in repo(place).rglob("0*"))
    made = restore.plan(place.engine, Until(lsn=found[2][1]), empty(place))
    done = restore.restore(place.engine, made, start=True, say=lambda _: None)
    assert "archive_mode = 'off'" in (made.folder / "postgresql.auto.conf").read_text()
    assert made.folder.stat().st_uid == place.server.account.uid
    assert done.prepared.user == place.server.login.user
    assert sorted(p.name for p in repo(place).rglob("0*")) == before
    assert not list(place.root.parent.glob("restored.*"))
    with pytest.raises(RefusedError, match="is not empty, and nothing is restored over what is there"):
        restore.plan(place.engine, Until(), empty(place))
    shutil.rmtree(made.folder)


def test_a_drill_proves_it_by_its_data(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    repository = engine(place).repository()
    mark = list(backup_mark.known(repository))[-1].read(repository)
    found = drill.drill(place.engine, until=Until(lsn=mark.lsn, inclusive=False))
    assert found.holds(), found.checks
    assert {c.name: c.holds for c in found.checks}["rows of postgres"]
    assert repository.evidence("backup.drill")[-1].facts["engine"] == "pgbackrest"


def test_what_verify_and_restore_find(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    full, part = place.engine.backups()
    file = max((repo(place) / "backup/main" / str(full.facts["label"]) / "pg_data/base").rglob("*.zst"), key=lambda p: p.stat().st_size)
    with changed(file, flipped(file)):
        for one in (full, part):
            said = "\n".join(place.engine.verify(one))
            assert f"pgBackRest says that backup {full.facts['label']} is invalid" in said
            assert file.name in said
        with pytest.raises(PgcharterError, match=f"backup {full.id} cannot be restored: .*checksum"):
            place.engine.restore(full, Until(lsn=full.stop_lsn), empty(place))
        with pytest.raises(RefusedError) as refused:
            restore.plan(place.engine, Until(), empty(place))
        assert "rm -r" in refused.value.hint
        for left in place.root.parent.glob("restored*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    with changed(file, None):
        assert any(file.name in p or "invalid" in p for p in place.engine.verify(full))
    repository = engine(place).repository()
    segment = Segment.at(1, lsn_number(full.start_lsn), repository.about.segment)
    path = backup_wal.stored(repository, segment.name)
    assert path is not None
    with changed(path, flipped(path)):
        assert any(segment.name in p for p in place.engine.verify(full))
        with pytest.raises(PgcharterError, match="damaged"):
            backup_wal.fetch(repository, segment.name, place.root / "x")
    with changed(path, None):
        assert f"segment {segment.name} is missing; without it backup {full.id} cannot be used" in place.engine.verify(full)
        with pytest.raises(PgcharterError, match=f"segment {segment.name} of the log is missing"):
            restore.plan(place.engine, Until(lsn=full.stop_lsn), empty(place), full.id)
    info = repo(place) / "backup/main/backup.info"
    with changed(info, b"x"), changed(info.with_name("backup.info.copy"), b"x"):
        said_ = engine(place).repository()
        assert said_.backups() == ()
        assert "pgBackRest says of" in said_.damaged()[0]
    assert len(place.engine.backups()) == 2


def test_what_was_killed_is_never_listed(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    before = place.engine.backups()
    place.run("CREATE TABLE big AS SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 60000) i")
    program = engine(place).repository().program
    options = program.who.options()
    options["env"] = {**options["env"], "PGPASSWORD": place.server.login.password}
    command = [program.path, f"--config={program.config}", "--stanza=main", "--log-level-console=detail", "backup", "--type=full"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        for line in process.stdout or ():
            if "backup file" in line:
                break
        assert engine(place).repository().info.busy
        with pytest.raises(RefusedError, match="another pgBackRest is at work"):
            place.engine.take("full")
        process.kill()
    place.run("DROP TABLE big")
    assert place.engine.backups() == before
    deadline = time.monotonic() + 20
    while engine(place).repository().info.busy:  # its children end by themselves
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list(Home(place.root).folder.glob("lock/*"))  # what it has left stands in nobody's way
    made = place.engine.take("full")
    assert place.engine.verify(made) == ()
    assert {p.name for p in (repo(place) / "backup/main").glob("2*")} == {str(b.facts["label"]) for b in place.engine.backups()}


def test_retention_holds_and_the_log(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    full, part, newest = place.engine.backups()
    place.engine.hold(full, "law")
    assert place.engine.hold(part, "case 4711 – ä").hold == "case 4711 – ä"
    short = replace(engine(place), section=replace(place.section, keep="1d"))
    at = newest.ended + timedelta(days=3)
    assert short.prune(dry_run=False, now=at) == ()  # what a held one is built on is kept with it
    repository = engine(place).repository()
    own = {Segment.at(1, lsn_number(b.start_lsn), repository.about.segment).number for b in (full, part, newest)}
    have = {s.number for s in backup_wal.segments(repository, 1)}
    assert own <= have
    last = max(lsn_number(part.stop_lsn) // repository.about.segment, 0)
    assert not [n for n in have if last < n < max(own)]  # between a held one and the newest there is nothing to restore
    place.engine.hold(part, "")
    place.engine.hold(full, "")
    assert short.prune(dry_run=True, now=at) == (full, part)
    assert len(place.engine.backups()) == 3
    assert short.prune(dry_run=False, now=at) == (full, part)
    assert place.engine.backups() == (newest,)
    assert [p.name for p in (place.root / "backups").iterdir()] == [newest.id]
    assert min(s.number for s in backup_wal.segments(repository, 1)) == max(own)
    assert place.engine.verify(newest) == ()


def test_two_encrypted_places(monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(os.urandom(32)).decode()
    with ground(15, quick=False, engine="pgbackrest") as place:
        second = place.server.account.make_folder(place.root.parent / "second")
        space = place.server.account.make_folder(place.root.parent / "space")
        file = place.root.parent / "key"
        file.write_text(key)
        place.server.account.give(file)
        place.section = replace(place.section, second=str(second), key_file=str(file), compression="gzip")
        place.run(f"CREATE TABLESPACE far LOCATION '{space}'", "CREATE TABLE t (n int) TABLESPACE far", "INSERT INTO t VALUES (1)")
        made = place.engine.take("full")
        twin = place.second.backups()[0]
        config = Home(place.root).config
        assert config.stat().st_mode & 0o777 == 0o600
        assert key in config.read_text()
        place.run("INSERT INTO t VALUES (2)")
        place.switch()
        place.engine.hold(made, "law")
        assert place.second.backups()[0].hold == "law"
        for at, backup in ((place.engine, made), (place.second, twin)):
            assert at.verify(backup) == ()
        shutil.rmtree(Home(place.root).repository)  # the first location is lost
        place.server.stop()
        engine_ = replace(place.second, dsn="")
        plan = restore.plan(engine_, Until(), empty(place))
        done = restore.restore(engine_, plan, start=True, say=lambda _: None)
        assert list(empty(place, "restored.tablespaces").iterdir())
        assert done.last is not None
        file.write_text(base64.b64encode(os.urandom(32)).decode())
        with pytest.raises(PgcharterError, match="is encrypted with key"):
            engine_.backups()
        assert key not in str(vars(engine_)) + repr(plan)


def test_another_version_and_another_system_are_refused(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    release = engine(place).program().release()
    with ground(17, quick=False, engine="pgbackrest") as other:
        with pytest.raises(RefusedError, match="holds backups of another server"):
            replace(other.engine, section=place.section).take("full")
        if tuple(int(n) for n in release.split(".")) < (2, 54):
            with pytest.raises(UnavailableError, match=rf"pgBackRest {release} takes no backups of this PostgreSQL 17") as refused:
                other.engine.take("full")
            assert refused.value.hint == 'install a newer pgBackRest, or write [backup] engine = "native"'
            assert holding(other.engine)["repository"][0] is False
    who, data = place.server.account, empty(place, "other")
    assert who.run([place.program("initdb"), "-N", "-A", "trust", "-U", "postgres", "-D", data]).returncode == 0
    said = engine(place).repository().program.run("stanza-create", "--no-online", f"--pg1-path={data}")
    assert isinstance(failed(said, "no"), RefusedError)
    assert "the stanza is that of another server" in str(failed(said, "no"))
    shutil.rmtree(data)


def test_engines_do_not_mix_and_bad_words_are_said(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    with pytest.raises(RefusedError, match="holds backups of pgBackRest"):
        backup_engines.engine(replace(place.section, engine="native"), "", Path())
    with pytest.raises(UsageError, match="does not receive log"):
        replace(place.engine, section=replace(place.section, log="receive")).take("full")
    told = replace(place.section, pgbackrest=replace(place.section.pgbackrest, program="/nowhere/pgbackrest"))
    with pytest.raises(UnavailableError, match="pgBackRest cannot be run as /nowhere/pgbackrest"):
        replace(place.engine, section=told).backups()
    stop = Home(place.root).folder / "lock" / "main.stop"
    stop.touch()
    try:
        with pytest.raises(RefusedError, match="was told to stop"):
            place.engine.take("full")
    finally:
        stop.unlink()


def test_what_is_rendered_is_what_works(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    assert "archive-push %p" in backup_render.sql(place.engine, "pgcharter")
    rights = replace(place.engine, dsn=make_conninfo(place.server.dsn(), user="pgcharter_backup", password="secret"))
    found = holding(rights)
    assert found["rights"] == (True, "pgcharter_backup may do what is needed")
    assert found["configuration"][1].endswith("was out of date and was made anew: pg1-user")


def test_a_restored_server_goes_on_in_a_timeline_of_its_own(story: tuple[Ground, list[tuple[datetime, str]]]) -> None:
    place, _ = story
    place.run("CREATE TABLE after (n int)", "INSERT INTO after VALUES (1)")
    place.switch()
    made = restore.plan(place.engine, Until(), empty(place, "alive"))
    assert made.goal.segments
    done = restore.restore(place.engine, made, start=True, say=lambda _: None)
    command = str(place.run("SHOW archive_command")[0][0]).replace(" archive-push", f" --pg1-path={made.folder} archive-push")
    settings = {"archive_mode": "on", "archive_command": command}
    prepared, conf = replace(done.prepared, settings={}), made.folder.with_name("conf")
    with drill_server.started(prepared, conf, place.server.account, settings) as copy, copy.connect("postgres") as conn:
        conn.execute("INSERT INTO after VALUES (2)")
        conn.execute("SELECT pg_switch_wal()")
        deadline = time.monotonic() + 30
        while not conn.execute("SELECT last_archived_wal >= '00000002' FROM pg_stat_archiver").fetchone()[0]:  # type: ignore[index]
            assert time.monotonic() < deadline
            time.sleep(0.05)
    repository = engine(place).repository()
    assert backup_wal.timelines(repository) == (1, 2)
    assert not any(backup_wal.look(repository, s.name) for s in backup_wal.segments(repository, 2))  # none that was only kept for later
    assert rows(place, Until(), folder="latest", table="after") == [1, 2]
    assert rows(place, Until(timeline="1"), folder="first", table="after") == [1]
    shutil.rmtree(made.folder)
