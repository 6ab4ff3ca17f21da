"""Backups killed at each of their points, and what is there then: `python -m tests.operate.backup_crash`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.operate.backups import Ground, empty, ground

from pgcharter import faults
from pgcharter.operate import backup_native, backup_native_restore, backup_wal
from pgcharter.operate.backup_wal import Segment, lsn_number

POINTS = (*backup_native.POINTS, *backup_wal.POINTS, *backup_native_restore.POINTS)


def killed(place: Ground, point: str, *words: str) -> None:
    """Run a command that dies at a point."""
    charter = place.root.parent / "pgcharter.toml"
    charter.write_text(
        f'[environments.here]\ndsn_env = "DB"\n[backup]\nrepository = "{place.root}"\nwait = "20s"\nkeep = "0"\nkeep_full = 1\n'
        f'second = "{place.section.second}"\n'
    )
    environment = {**os.environ, "DB": place.server.dsn(), faults.VARIABLE: point}
    command = [sys.executable, "-m", "pgcharter", "backup", *words]
    done = subprocess.run(command, cwd=charter.parent, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, (point, done.returncode, done.stdout, done.stderr)


def take(place: Ground, point: str) -> None:
    """Either it is whole, at every place where it is listed, or the next one cleans up."""
    before = {b.id for b in place.engine.backups()}
    killed(place, point, "take", "full", "--no-mark")
    for engine in (place.engine, place.second):
        for backup in engine.backups():
            assert engine.verify(backup) == (), (point, backup.id)
    new = {b.id for b in place.engine.backups()} - before
    assert bool(new) == (point == "backup take listed"), (point, new)
    made = place.engine.take("full")
    assert not place.engine.repository().leftovers()
    assert not place.second.repository().leftovers()
    assert place.second.verify(made) == ()


def prune(place: Ground, point: str) -> None:
    """What is listed is whole, and the next run finishes it."""
    place.engine.take("full")
    place.engine.take("full")
    killed(place, point, "prune", "--yes")
    left = place.engine.backups()
    assert left
    for engine in (place.engine, place.second):
        for backup in engine.backups():
            assert engine.verify(backup) == (), (point, backup.id)
    replace(place.engine, section=replace(place.section, keep="0", keep_full=1)).prune(dry_run=False)
    for engine in (place.engine, place.second):
        (only,) = engine.backups()
        assert only == left[-1]
        assert engine.verify(only) == ()
        assert not engine.repository().leftovers()
        start = min(s.number for s in backup_wal.segments(engine.repository(), 1))
        assert start == lsn_number(only.start_lsn) // engine.repository().about.segment


def archive(place: Ground, point: str) -> None:
    """The server sends it again, and it is there once, whole."""
    place.switch()
    repository = place.engine.repository()
    last = backup_wal.segments(repository, 1)[-1]
    data = place.root.parent / last.name
    assert backup_wal.fetch(repository, last.name, data)
    for at in backup_native.places(repository):
        stored = backup_wal.stored(at, last.name)
        assert stored is not None
        stored.unlink()
    killed(place, point, "archive", "--to", str(place.root), str(data))
    backup_wal.archive(repository, data, last.name)
    for at in backup_native.places(repository):
        assert backup_wal.look(at, last.name) == ""
        assert Segment.named(last.name, last.size) in backup_wal.segments(at, 1)
    data.unlink()


def restore(place: Ground, point: str) -> None:
    """What is there is not taken for a restored folder, and the hint says how to go on."""
    if place.server.major >= 17 and place.engine.backups()[-1].kind == "full":
        place.engine.take("incremental")
    folder = empty(place)
    killed(place, point, "restore", str(folder), "--yes")
    from pgcharter.errors import RefusedError
    from pgcharter.operate import restore as restoring
    from pgcharter.operate.backup_model import Until

    with pytest.raises(RefusedError) as refused:
        restoring.plan(place.engine, Until(), folder)
    words = refused.value.hint.partition("rm -r ")[2].split()
    if point == backup_native_restore.POINTS[2]:  # it was ready
        words = [str(p) for p in folder.parent.glob("restored*")]
    assert words, (point, refused.value.hint)
    for word in words:
        assert word.startswith(str(folder))
        shutil.rmtree(word) if Path(word).is_dir() else Path(word).unlink()
    plan = restoring.plan(place.engine, Until(), folder)
    done = restoring.restore(place.engine, plan, start=True, say=lambda _: None)
    assert done.recovering > 0
    shutil.rmtree(folder)


WAYS: dict[str, Callable[[Ground, str], None]] = {"take": take, "prune": prune, "archive": archive, "restore": restore}


def way(point: str) -> Callable[[Ground, str], None]:
    """What is killed at a point."""
    return WAYS[point.split()[1]]


def place_of(major: int | None = None):  # type: ignore[no-untyped-def]
    """A server with two places for its backups."""
    return ground(major, quick=False)


def begin(place: Ground) -> None:
    """Give it its second place, and one backup."""
    second = place.server.account.make_folder(place.root.parent / "second")
    place.section = replace(place.section, second=str(second))
    place.run("CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i")
    place.engine.take("full")


def main() -> None:
    """All points on the oldest and the newest."""
    for major in (15, 18):
        with place_of(major) as place:
            begin(place)
            for point in POINTS:
                if major < 17 and point == backup_native_restore.POINTS[0]:
                    continue  # only chains have parts
                way(point)(place, point)
                sys.stdout.write(f"PostgreSQL {major}: killed at {point!r}: taken up again\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
