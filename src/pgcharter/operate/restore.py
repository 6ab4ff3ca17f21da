"""Restoring for real, in five steps that are printed and driven: stop what writes, choose, unpack, recover, look and go on.

The steps are those of the guides (stop the application, restore from backup, apply log to the recovery point, verify, resume). Nothing is
ever restored over a running server or a folder that holds anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.operate import backup_native_restore, backup_wal, drill_server, restore_target
from pgcharter.operate.backup_model import Advance, Backup, Prepared, Until
from pgcharter.servers.account import Account
from pgcharter.servers.datafolder import write_private

if TYPE_CHECKING:
    from pgcharter.operate.backup_native import Native
    from pgcharter.operate.restore_target import Goal


@dataclass(frozen=True)
class Plan:
    """A restore that was looked at and can be done."""

    goal: Goal
    chain: tuple[Backup, ...]
    folder: Path
    size: int
    """Bytes that will be written."""
    log: int
    """Bytes of log that will be replayed."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The procedure, a sentence each."""
        goal, names = self.goal, " + ".join(b.id for b in self.chain)
        last = goal.segments[-1].name if goal.segments else "none"
        manifest = "PostgreSQL's manifest" if goal.backup.engine == "native" else "the checksums of its manifest"
        return (
            "stop the application, so that nothing more is written to the database that is given up",
            f"take backup {names} ({self.size >> 20} MB), of {goal.backup.ended:%Y-%m-%d %H:%M:%S} UTC, position {goal.backup.stop_lsn}",
            f"unpack it into {self.folder} and hold it against {manifest}",
            f"recover to {restore_target.spoken(goal.until)} with {len(goal.segments)} segments of log ({self.log >> 20} MB, up to {last})",
            "look at the data, then start the server there and let the application in",
        )


def until_of(
    *, to: str = "", lsn: str = "", name: str = "", before: str = "", timeline: str = "latest", dsn: str = "", now: datetime | None = None
) -> Until:
    """Where a restore stops, as the command line says it; nothing: the end of the log. Raises UsageError when it says two things."""
    given = [word for word in (to, lsn, name, before) if word]
    if len(given) > 1:
        raise UsageError(
            f"{given[0]!r} and {given[1]!r} name two places to stop at", hint="say one of --to, --lsn, --point, --before-migration"
        )
    if to:
        return Until(time=_time(to, now), timeline=timeline)
    if lsn:
        import re

        if re.fullmatch(r"[0-9A-Fa-f]+/[0-9A-Fa-f]+", lsn) is None:
            raise UsageError(f"{lsn!r} is no position in the log", hint="write it like 16/B374D848")
        return Until(lsn=lsn.upper(), timeline=timeline)
    if before:
        return Until(time=began(dsn, before), inclusive=False, timeline=timeline)
    return Until(name=name, timeline=timeline)


def _time(text: str, now: datetime | None) -> datetime:
    from datetime import timedelta

    from pgcharter.measures import seconds

    if text.endswith(" ago"):
        return (now or datetime.now(UTC)) - timedelta(seconds=seconds(text.removesuffix(" ago").strip(), "--to"))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", hint="write --to '2026-11-22 03:15:00Z', or --to '10min ago'") from None
    if found.tzinfo is None:
        raise UsageError(f"{text!r} says no zone, and an hour is a lot to be wrong by", hint=f"write --to '{text}Z' or '{text}+02:00'")
    return found.astimezone(UTC)


def began(dsn: str, version: str) -> datetime:
    """When the last run of a migration began, as the ledger has it: a moment before its first change. Raises PgcharterError."""
    from pgcharter.migrate import ledger
    from pgcharter.operate import backup_server

    with backup_server.opened(dsn) as conn:
        runs = [r for r in ledger.read(conn) if version in (r.version, r.name, f"{r.version}_{r.name}", r.file) and r.started]
        done = [r for r in runs if r.direction == "up" and r.outcome in ("done", "failed", "running")]
    if not done:
        raise PgcharterError(f"the ledger knows no run of a migration {version}", hint="pgcharter migrate status lists them")
    started = done[-1].started
    assert started is not None  # noqa: S101  (looked at above)
    return started.astimezone(UTC)


def plan(engine: Native, until: Until, folder: Path, name: str = "") -> Plan:
    """Look at everything that a restore needs, and change nothing. Raises PgcharterError with what is missing."""
    from pgcharter.operate.backup_verify import chain

    repository = engine.repository()
    at = backup_native_restore.Places(folder.absolute())
    backup_native_restore.refuse_used(at)
    goal = restore_target.goal(repository, until, repository.find(name) if name else None)
    whole = chain(repository, goal.backup)
    size = sum(int(f["raw"]) for b in whole for f in b.facts["files"]) or goal.backup.size
    return Plan(goal, whole, folder.absolute(), size, len(goal.segments) * repository.about.segment)


@dataclass(frozen=True)
class Restored:
    """What a restore has done, with its times in seconds."""

    prepared: Prepared
    unpacking: float
    recovering: float
    """0 when the server was not started."""
    last: datetime | None = None
    """Time of the last transaction that is in it."""


def restore(
    engine: Native, made: Plan, advance: Advance | None = None, *, start: bool = False, say: Callable[[str], None] = print
) -> Restored:
    """Do what the plan says; with `start` also recover, cut off from the world, and stop the server again. Raises PgcharterError."""
    before = time.monotonic()
    prepared = engine.restore(made.goal.backup, made.goal.until, made.folder, advance)
    unpacked = time.monotonic()
    if not start:
        return Restored(prepared, unpacked - before, 0.0)
    last = recover(prepared)
    say(f"recovered to {restore_target.spoken(made.goal.until)}")
    return Restored(prepared, unpacked - before, time.monotonic() - unpacked, last)


def recover(prepared: Prepared) -> datetime | None:
    """Start the folder cut off, until it is promoted, then stop it: what is left is a data folder to be started as usual."""
    import shutil

    who = backup_native_restore.owner(prepared.folder)
    conf = prepared.folder.with_name(f"{prepared.folder.name}.recovering")
    settings = {**prepared.settings, "fsync": "on", "full_page_writes": "on"}
    with drill_server.started(prepared, conf, who, settings) as copy, copy.connect("template1") as conn:
        row = conn.execute("SELECT pg_catalog.pg_last_xact_replay_timestamp()").fetchone()
    shutil.rmtree(conf, ignore_errors=True)
    announce(prepared, who)
    for folder in prepared.work:
        shutil.rmtree(folder, ignore_errors=True)
    return row[0].astimezone(UTC) if row and row[0] else None


def announce(prepared: Prepared, who: Account) -> None:
    """Have the server, once it archives again, send what began its new timeline: it was cut off then, so it would not by itself.

    Without the timeline's history nothing of it can ever be restored. (`.ready` is what XLogArchiveNotify in xlogarchive.c writes.)
    """
    folder = prepared.folder / "pg_wal"
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    newest = max((n[:8] for n in names if n.endswith(".history")), default="")
    own = [n for n in names if n[:8] == newest]
    whole = [n for n in own if len(n) == 24 and backup_wal.holds_itself(folder / n, prepared.backup.system)][:-1]
    for name in (*(n for n in own if n.endswith(".history")), *whole):
        write_private(folder / "archive_status" / f"{name}.ready", "", who)
