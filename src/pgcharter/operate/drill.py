"""The drill: a random second is restored on a server that is cut off, and its data is looked at. Its times are the measured RTO and RPO.

First the copy stands still at a marked position, where rows and schema must be what the mark says; then it goes on to the second, is
promoted, and is asked what amcheck, the project's invariants and the checksums of its pages say.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pgcharter.errors import PgcharterError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.operate import backup_mark, backup_wal, drill_checks, drill_server, restore_target
from pgcharter.operate.backup_mark import Known, Mark
from pgcharter.operate.backup_model import Advance, Backup, Prepared, Until
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_wal import lsn_number
from pgcharter.operate.drill_checks import Check, Invariant
from pgcharter.operate.drill_server import Copy
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, folders
from pgcharter.servers.account import Account

EVERY = {"never": 0.0, "hourly": 3600.0, "daily": 86400.0, "weekly": 7 * 86400.0, "monthly": 31 * 86400.0}


@dataclass(frozen=True)
class Drill:
    """What a drill has found."""

    seed: int
    at: datetime
    """When it was made."""
    target: datetime | None
    """The second that was restored; None: there was nothing to restore."""
    backup: str
    mark: str
    """Position at which rows were compared; empty: there was no mark."""
    checks: tuple[Check, ...]
    rto: float
    """Seconds from the beginning until the copy took writes."""
    rpo: float
    """Seconds of which changes were in no repository when it began."""
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each part."""

    def holds(self) -> bool:
        """Whether everything that was asked holds; what could not be asked is told, and does not make it false."""
        return all(c.holds is not False for c in self.checks)


@dataclass(frozen=True)
class _Ground:
    """Where one drill happens."""

    engine: Native
    repository: Repository
    who: Account
    home: Path
    advance: Advance | None

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def data(self) -> Path:
        return self.home / "copy"


@dataclass(frozen=True)
class Aim:
    """What is restored: the second, and the mark before it."""

    until: Until
    backup: Backup
    mark: Mark | None


def drill(
    engine: Native, *, seed: int | None = None, until: Until | None = None, advance: Advance | None = None, now: datetime | None = None,
    invariants: Sequence[Invariant] = (),
) -> Drill:  # fmt: skip
    """Restore, look, and keep the evidence in the repository. Raises PgcharterError only when there is no repository to keep it in.

    `invariants` are asked beside those of the charter. What does not work is a check that does not hold, not an error.
    """
    repository = engine.repository()
    chosen = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
    started = now or datetime.now(UTC)
    with repository.reading(), _home(engine) as (who, home):
        ground = _Ground(engine, repository, who, home, advance)
        found = _drilled(ground, chosen, until, started, invariants)
    for proof in evidence(found, engine):
        for at in (repository, repository.seconds()):
            if at:
                at.keep(proof)
    return found


@contextmanager
def _home(engine: Native) -> Iterator[tuple[Account, Path]]:
    """A private folder with room for the copy; swept away by the next server of ours when this process is killed."""
    who = accounts.current()
    folders.sweep(who)
    word = engine.section.drill.folder
    home = folders.private(who) if not word else _in(Path(engine.folder, word).absolute(), who)
    lock = folders.hold(home)
    try:
        yield who, home
    finally:
        import os

        folders.remove(home)
        os.close(lock)


def _in(folder: Path, who: Account) -> Path:
    """A folder of ours in the one that the charter names; what killed drills have left there goes first."""
    import secrets

    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("drill-*"):
        if folders.released(left / "lock"):
            shutil.rmtree(left, ignore_errors=True)
    return who.make_folder(folder / f"drill-{secrets.token_hex(4)}")


def _drilled(ground: _Ground, seed: int, until: Until | None, at: datetime, more: Sequence[Invariant]) -> Drill:
    begun = time.monotonic()
    rpo = exposed(ground)
    times: dict[str, float] = {}
    checks: list[Check] = []
    aim: Aim | None = None
    try:
        aim = aimed(ground, seed, until, at)
        checks += _walk(ground, aim, times, begun, more)
    except PgcharterError as error:
        checks.append(Check("restore", False, error.message))
    rto = times.get("rto", time.monotonic() - begun)
    checks += _promised(ground.engine, rto if "rto" in times else None, rpo)
    where = (aim.until.time, aim.backup.id, aim.mark.lsn if aim.mark else "") if aim else (None, "", "")
    return Drill(seed, at, *where, checks=tuple(checks), rto=rto, rpo=rpo, times=times)


def _promised(engine: Native, rto: float | None, rpo: float) -> Iterator[Check]:
    for name, measured, promised in (("rto", rto, seconds(engine.section.rto)), ("rpo", rpo, seconds(engine.section.rpo))):
        if measured is None:
            yield Check(name, None, f"nothing was measured; {promised:.0f} s are promised")
        elif measured == float("inf"):
            yield Check(name, False, "no log is in the repository, so everything since the backup would be lost")
        else:
            yield Check(name, measured <= promised, f"{measured:.1f} s measured, {promised:.0f} s promised")


def exposed(ground: _Ground) -> float:
    """Seconds of which changes would be lost if the server were lost now: asked of it, or where it is gone, since the last segment came."""
    from pgcharter.operate import backup_check, backup_server

    repository = ground.repository
    if ground.engine.dsn:
        try:
            with backup_server.opened(ground.engine.dsn) as conn:
                return backup_check.lag(conn, repository, backup_server.facts(conn, ground.engine.dsn).timeline)[0]
        except Exception:  # noqa: S110  (the server may be gone: that is what drills are for)
            pass
    newest = [s for t in backup_wal.timelines(repository)[-1:] for s in backup_wal.segments(repository, t)[-1:]]
    return time.time() - backup_wal.arrived(repository, newest[0]) if newest else float("inf")


# --- what is restored ---


def aimed(ground: _Ground, seed: int, until: Until | None, at: datetime) -> Aim:
    """A second by chance in the window, with the newest mark before it and the nearest backup before that.

    Raises PgcharterError when there is nothing that could be restored.
    """
    repository = ground.repository
    physical = [b for b in repository.backups() if b.kind != "logical"]
    if not physical:
        raise PgcharterError("there is no backup that could be restored", hint="pgcharter backup take")
    marks = [k for k in backup_mark.known(repository) if any(lsn_number(b.stop_lsn) <= k.position for b in physical)]
    chosen = until or Until(time=_second(ground, seed, at, physical, marks))
    mark = _mark(repository, marks, chosen)
    if mark is None:
        return Aim(chosen, restore_target.choose(repository, chosen), None)
    backup = restore_target.choose(repository, Until(lsn=mark.lsn, inclusive=False))
    return Aim(chosen, backup, mark)


def _second(ground: _Ground, seed: int, at: datetime, physical: Sequence[Backup], marks: Sequence[Known]) -> datetime:
    repository = ground.repository
    first = min(b.ended for b in physical)
    if marks:
        first = max(first, marks[0].read(repository).at)
    first = max(first, at - timedelta(seconds=seconds(ground.engine.section.drill.window)))
    last = _last(repository)
    if last is None:
        raise PgcharterError("the log in the repository holds no transaction, so there is no second to restore")
    if last <= first:
        return max(last - timedelta(microseconds=1), min(b.ended for b in physical))
    span = (last - first).total_seconds()
    return first + timedelta(seconds=random.Random(seed).random() * span)  # noqa: S311  (nothing secret)


def _last(repository: Repository) -> datetime | None:
    """When the last transaction in the log ended."""
    with restore_target.Reader(repository) as reader:
        for timeline in reversed(backup_wal.timelines(repository)):
            for segment in reversed(backup_wal.segments(repository, timeline)):
                if found := reader.last(segment):
                    return found
    return None


def _mark(repository: Repository, marks: Sequence[Known], until: Until) -> Mark | None:
    """The newest mark that lies before the target."""
    for one in reversed(marks):
        if until.lsn and one.position > lsn_number(until.lsn):
            continue
        mark = one.read(repository)
        if until.time is None or mark.at <= until.time:
            return mark
    return None


# --- doing it ---


def _walk(ground: _Ground, aim: Aim, times: dict[str, float], begun: float, more: Sequence[Invariant]) -> Iterator[Check]:
    with _timed(times, "unpacking"):
        prepared = ground.engine.restore(aim.backup, aim.until, ground.data, ground.advance)
    yield Check("restore", True, f"backup {aim.backup.id} was unpacked and is what PostgreSQL sent")
    looking = 0.0
    if aim.mark:
        before = time.monotonic()
        yield from _at_mark(ground, aim.mark, prepared, times)
        looking = times.get("comparing rows", 0.0)
        times["recovering to the mark"] = time.monotonic() - before - looking
    else:
        yield Check("rows", False, "there is no mark before that second, so no row was compared: pgcharter backup mark")
    before = time.monotonic()
    tools = binaries.choose(prepared.backup.version // 10000)
    settings = {**prepared.settings, "recovery_target_action": "promote"}
    with drill_server.started(prepared, ground.conf, ground.who, settings) as copy:
        times["recovering to the second"] = time.monotonic() - before
        times["rto"] = time.monotonic() - begun - looking
        yield from _promoted(ground, aim, copy, times, more)
    with _timed(times, "checksums"):
        checked = drill_checks.pages(ground.data, tools, ground.who)
    yield checked


@contextmanager
def _timed(times: dict[str, float], name: str) -> Iterator[None]:
    before = time.monotonic()
    yield
    times[name] = time.monotonic() - before


def _at_mark(ground: _Ground, mark: Mark, prepared: Prepared, times: dict[str, float]) -> Iterator[Check]:
    """Stand still at the mark and compare."""
    settings = {
        "restore_command": prepared.settings["restore_command"], "recovery_target_timeline": prepared.settings["recovery_target_timeline"],
        "recovery_target_lsn": mark.lsn, "recovery_target_inclusive": "off", "recovery_target_action": "pause",
    }  # fmt: skip
    with drill_server.started(prepared, ground.conf, ground.who, settings, wait="paused") as copy, _timed(times, "comparing rows"):
        for name, marked in mark.databases.items():
            with copy.connect(name) as conn:
                compared = backup_mark.compare(marked, conn)
            what = f"rows of {name}"
            if compared.differences:
                yield Check(what, False, f"{len(compared.differences)} differences at {mark.lsn}", compared.differences[:40])
            elif compared.unproven:
                yield Check(what, None, f"{len(compared.unproven)} tables could not be compared exactly", compared.unproven[:40])
            if not compared.differences:
                exact = compared.tables - len(compared.unproven)
                yield Check(what, True, f"{exact} tables are exactly as marked at {mark.lsn}, {compared.rows} rows; so is the schema")


def _promoted(ground: _Ground, aim: Aim, copy: Copy, times: dict[str, float], more: Sequence[Invariant]) -> Iterator[Check]:
    with copy.connect("template1") as conn:
        row = conn.execute("SELECT pg_catalog.pg_last_xact_replay_timestamp(), pg_catalog.current_setting('archive_mode')").fetchone()
    last, archiving = row or (None, "?")
    if archiving != "off":
        yield Check("cut off", False, f"the copy has archive_mode {archiving}, so it may write into the repository")
    if aim.until.time:
        ahead = last is not None and last.astimezone(UTC) > aim.until.time
        said = f"its last transaction is of {last.astimezone(UTC):%H:%M:%S.%f} UTC" if last else "it holds no transaction of the log"
        yield Check("second", not ahead, f"{aim.until.time:%Y-%m-%d %H:%M:%S.%f} UTC was restored, {said}")
    section, names = ground.engine.section, _databases(copy, aim)
    with _timed(times, "amcheck"):
        checked = drill_checks.structure(copy, names, heap_all_indexed=section.drill.heap_all_indexed)
    yield checked
    first = names[0] if names else "postgres"
    wanted = [
        *(Invariant(i.name, i.sql, i.database or first) for i in section.invariant),
        *(replace(i, database=i.database or first) for i in more),
    ]
    with _timed(times, "invariants"):
        asked = drill_checks.invariants(copy, wanted)
    yield from asked


def _databases(copy: Copy, aim: Aim) -> list[str]:
    """Databases that are looked into: the marked ones, then all others that can be."""
    with copy.connect("template1") as conn:
        there = [
            str(n)
            for (n,) in conn.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1")
        ]
    own = str(aim.backup.facts.get("database", ""))
    first = [*(aim.mark.databases if aim.mark else ()), own]
    return list(dict.fromkeys([*(n for n in first if n in there), *there]))


# --- what it proves ---


def evidence(found: Drill, engine: Native) -> tuple[Evidence, ...]:
    """The drill as evidence: whole, and of each promise."""
    until = found.at + timedelta(seconds=2 * (EVERY[engine.section.drill.when] or EVERY["weekly"]))
    wrong = [c for c in found.checks if c.holds is False]
    open_ = [c for c in found.checks if c.holds is None]
    where = f"{found.target:%Y-%m-%d %H:%M:%S} UTC" if found.target else "the end of the log"
    seen = (
        f"{where} restored from {found.backup or 'nothing'} in {found.rto:.1f} s, {len(found.checks) - len(wrong) - len(open_)} checks hold"
    )
    if wrong:
        seen += f", {len(wrong)} do not: {wrong[0].name}, {wrong[0].seen}"
    if open_:
        seen += f", {len(open_)} could not be made: {open_[0].name}, {open_[0].seen}"
    facts: dict[str, Any] = {
        "seed": found.seed, "target": found.target.isoformat() if found.target else "", "backup": found.backup, "mark": found.mark,
        "engine": engine.name, "rto": found.rto, "rpo": found.rpo if found.rpo != float("inf") else None, "times": dict(found.times),
        "checks": [{"name": c.name, "holds": c.holds, "seen": c.seen, "problems": list(c.problems)} for c in found.checks],
    }  # fmt: skip
    proofs = [Evidence("backup.drill", found.holds(), seen, found.at, until, facts)]
    promised = [(c.name, c.holds, c.seen) for c in found.checks if c.name in ("rto", "rpo")]
    told = {"seed": found.seed}
    return (*proofs, *(Evidence(f"backup.{n}", h, s, found.at, until, told) for n, h, s in promised if h is not None))
