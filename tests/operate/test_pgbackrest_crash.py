"""pgBackRest's engine killed at each of its points, and its commands: all of it by `python -m tests.operate.test_pgbackrest_crash`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.cli.conftest import Done, program  # noqa: F401  (a fixture)
from tests.operate.backups import Ground, empty, ground

from pgcharter import faults
from pgcharter.errors import RefusedError
from pgcharter.operate import backup_pgbackrest, backup_pgbackrest_restore, backup_wal
from pgcharter.operate import restore as restoring
from pgcharter.operate.backup_model import Until
from pgcharter.operate.backup_pgbackrest import PgBackRest
from pgcharter.operate.backup_wal import lsn_number

POINTS = (*backup_pgbackrest.POINTS, *backup_pgbackrest_restore.POINTS)


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with ground(15, engine="pgbackrest", keep="0", keep_full=1) as made:
        begin(made)
        yield made


def begin(place: Ground) -> None:
    """A first backup with a mark, by the command."""
    place.run("CREATE TABLE t (n int)", "INSERT INTO t SELECT generate_series(1, 1000)")
    assert command(place, "take").returncode == 0


def command(place: Ground, *words: str, point: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of `pgcharter backup`."""
    environment = {**os.environ, "DB": place.server.dsn(), **({faults.VARIABLE: point} if point else {})}
    return subprocess.run(
        [sys.executable, "-m", "pgcharter", "backup", *words], cwd=charter(place), env=environment, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def charter(place: Ground) -> Path:
    """The folder of a charter that means this place."""
    told = (
        f'[environments.here]\ndsn_env = "DB"\n[backup]\nrepository = "{place.root}"\nengine = "pgbackrest"\nwait = "20s"\nkeep = "0"\n'
        "keep_full = 1\n"
    )
    (place.root.parent / "pgcharter.toml").write_text(told)
    return place.root.parent


def engine(place: Ground) -> PgBackRest:
    made = place.engine
    assert isinstance(made, PgBackRest)
    return made


def whole(place: Ground) -> None:
    """All that is listed is whole, and those who only look find just that once anything was taken."""
    for backup in place.engine.backups():
        assert place.engine.verify(backup) == (), backup.id


def mirrored(place: Ground) -> None:
    assert {p.parent.name for p in place.root.glob("backups/*/manifest.json")} == {b.id for b in place.engine.backups()}


@pytest.mark.parametrize("point", ["backup pgbackrest restored", "backup pgbackrest expired"])
def test_killed(place: Ground, point: str) -> None:
    killed(place, point)


def killed(place: Ground, point: str) -> None:
    """Die there; what is listed is whole, and the next run goes on."""
    before = {b.id for b in place.engine.backups()}
    if point in backup_pgbackrest_restore.POINTS:
        restore(place, point)
        return
    if point in backup_pgbackrest.POINTS[2:]:
        place.engine.take("full")
        place.engine.take("incremental")
        assert command(place, "prune", "--yes", point=point).returncode == -signal.SIGKILL
        whole(place)
        left = place.engine.backups()
        place.engine.prune(dry_run=False)
        assert place.engine.backups() == left[-2:]
        repository = engine(place).repository()
        start = min(s.number for s in backup_wal.segments(repository, 1))
        assert start == lsn_number(left[-2].start_lsn) // repository.about.segment
    else:
        assert command(place, "take", point=point).returncode == -signal.SIGKILL
        whole(place)
        assert bool({b.id for b in place.engine.backups()} - before) == (point == backup_pgbackrest.POINTS[1])
        place.engine.take("full")
    whole(place)
    mirrored(place)


def restore(place: Ground, point: str) -> None:
    """What is there is not taken for a restored folder, and the hint says how to go on."""
    folder = empty(place)
    assert command(place, "restore", str(folder), "--yes", point=point).returncode == -signal.SIGKILL
    with pytest.raises(RefusedError) as refused:
        restoring.plan(place.engine, Until(), folder)
    words: Sequence[str] = refused.value.hint.partition("rm -r ")[2].split()
    if point == backup_pgbackrest_restore.POINTS[1]:  # it was ready
        words = [str(p) for p in folder.parent.glob("restored*")]
    assert words
    for word in words:
        shutil.rmtree(word) if Path(word).is_dir() else Path(word).unlink()
    restoring.restore(place.engine, restoring.plan(place.engine, Until(), folder), start=True, say=lambda _: None)
    shutil.rmtree(folder)


def killed_while_it_copies(place: Ground) -> None:
    """Die while pgBackRest is at work: it ends by itself, and what it lists is whole."""
    before = {b.id for b in place.engine.backups()}
    environment = {**os.environ, "DB": place.server.dsn()}
    words = [sys.executable, "-m", "pgcharter", "backup", "take"]
    with subprocess.Popen(words, cwd=charter(place), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not engine(place).repository().info.busy:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    while engine(place).repository().info.busy:  # pgBackRest itself ends at its next word, or when it is done
        assert time.monotonic() < deadline
        time.sleep(0.05)
    whole(place)
    made = place.engine.take("full")
    assert made.id not in before
    whole(place)
    mirrored(place)


def test_the_commands_are_the_same(place: Ground, program: Callable[..., Done]) -> None:  # noqa: F811  (the fixture)
    place.run("INSERT INTO t VALUES (1)")
    page = (Path(__file__).parents[2] / "docs/how-to/backup.md").read_text(encoding="utf-8")
    told = page.partition("``` toml\n")[2].partition("```")[0].replace("/srv/backup", str(place.root))
    (charter(place) / "page").mkdir()
    (charter(place) / "page" / "pgcharter.toml").write_text(told)
    assert program("backup", "list", cwd=charter(place) / "page").returncode == 0

    def call(*words: str) -> Done:
        return program("backup", *words, cwd=charter(place), DB=place.server.dsn())

    done = call("list", "--format", "json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["backups"]
    assert [b["id"] for b in listed] == [b.id for b in place.engine.backups()]
    assert {b["engine"] for b in listed} == {"pgbackrest"}
    assert "nothing is wrong" in call("verify").stdout
    assert call("hold", "latest", "--reason", "law").stdout.endswith("is held: law\n")
    assert "law" in call("list").stdout
    assert call("hold", "latest", "--reason", "").returncode == 0
    assert "archive-push" in call("render").stdout
    assert call("prune", "--dry-run").returncode == 0
    assert call("mark").returncode == 0
    place.run("INSERT INTO t VALUES (2)")
    place.switch()
    done = call("drill", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["evidence"][0]["facts"]["engine"] == "pgbackrest"
    done = call("restore", str(empty(place)), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "recover to the end of the log" in done.stdout


def main() -> None:
    """All points."""
    with ground(15, engine="pgbackrest", keep="0", keep_full=1) as made:
        begin(made)
        for point in POINTS:
            killed(made, point)
            sys.stdout.write(f"{point}: whole\n")
        killed_while_it_copies(made)
        sys.stdout.write("while it copies: whole\n")


if __name__ == "__main__":
    main()
