"""`pgcharter backup`: take, list, verify and remove backups; archive the log; restore; rehearse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgcharter.operate.backup_model import Backup
    from pgcharter.operate.backup_native import Native

    F = Callable[..., Any]


@click.group()
def backup() -> None:
    """Backups that are proven by restoring: take, list, verify and remove them; archive the log; restore; rehearse."""


def second_option(function: F) -> F:
    """Add `--second`."""
    return click.option("--second", is_flag=True, help="Read the second location instead of the first.")(function)


def engine(environment: str | None, target: str | None, *, second: bool = False, server: bool = True) -> Native:
    """The engine that charter and command line mean; without `server` none needs to be named. Raises UsageError."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.errors import UsageError
    from pgcharter.operate import backup_engines
    from pgcharter.operate.backup_settings import SECTION

    charter = charter_here()
    dsn = ""
    try:
        dsn = migrating.database(environment, target)[1]
    except UsageError:
        if server or environment or target:
            raise
    return backup_engines.engine(charter.section(SECTION), dsn, charter.folder, second=second)


CHECK = (
    ("pgcharter backup check", "ends in 1 when something stands in the way"),
    ("pgcharter backup check --format json", "the same for a program"),
)


@backup.command("check", cls=Command, examples=CHECK)
@database_options
@format_option
def check(environment: str | None, target: str | None, form: str) -> int:
    """Ask the live server and the repository whether backups work: a segment is switched and waited for, not only settings read.

    Makes the repository when it is not there. Ends in 1 when something does not hold.
    """
    found = engine(environment, target).check()
    if form == "json":
        show_json({"format": "pgcharter-backup-check", "version": 1, "evidence": [proof(e) for e in found]})
    else:
        tell_evidence(found)
    return Exit.FINE if all(e.holds for e in found) else Exit.FINDINGS


def tell_evidence(found: Sequence[Any]) -> None:
    """Evidence, a line each."""
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    width = max((len(e.name) for e in found), default=0)
    for e in found:
        mark = Styled("✔ ", "good") if e.holds else Styled("✘ ", "error")
        page.flow(mark, Styled(e.name.ljust(width), "strong"), f"  {e.seen}", hanging=width + 4)
    show(page)


def proof(evidence: Any) -> dict[str, Any]:
    """Evidence as JSON has it."""
    return {
        "name": evidence.name, "holds": evidence.holds, "seen": evidence.seen, "at": evidence.at.isoformat(),
        "until": evidence.until.isoformat() if evidence.until else None, "facts": dict(evidence.facts),
    }  # fmt: skip


TAKE = (
    ("pgcharter backup take", "a full one"),
    ("pgcharter backup take incremental", "what has changed since the newest (PostgreSQL 17 and newer)"),
    ("pgcharter backup take logical", "pg_dump of each database, with roles"),
)


@backup.command("take", cls=Command, examples=TAKE)
@click.argument("kind", type=click.Choice(["full", "incremental", "logical"]), default="full")
@click.option("--no-mark", is_flag=True, help="Do not record counts and checksums of rows behind a full one.")
@database_options
@format_option
def take(environment: str | None, target: str | None, form: str, kind: Any, *, no_mark: bool) -> int:
    """Take a backup; it is listed when all of it, with the log it needs, is in the repository and at the second location."""
    from pgcharter.cli.progress import progress

    chosen = engine(environment, target)
    with progress(f"{kind} backup") as advance:
        made = chosen.take(kind, advance)
    if form == "json":
        show_json({"format": "pgcharter-backup", "version": 1, **data(made)})
    else:
        click.echo(f"{made.id}: {size(made.size)} in {made.seconds:.1f} s, {size(made.stored)} in the repository")
    if kind == "full" and chosen.section.mark and not no_mark:
        from pgcharter.cli.backup_drill import mark_now

        mark_now(chosen, form="none" if form == "json" else "text")
    return Exit.FINE


LIST = (
    ("pgcharter backup list", "size, duration, chain and log of each"),
    ("pgcharter backup list --second", "what is at the second location"),
)


@backup.command("list", cls=Command, examples=LIST)
@second_option
@format_option
def list_(form: str, *, second: bool) -> int:
    """List the backups that can be restored. Ends in 1 when a manifest is damaged."""
    chosen = engine(None, None, second=second, server=False)
    there = chosen.backups()
    damaged = chosen.repository().damaged()
    if form == "json":
        show_json({"format": "pgcharter-backups", "version": 1, "backups": [data(b) for b in there], "damaged": list(damaged)})
    else:
        _tell(there, damaged)
    return Exit.FINDINGS if damaged else Exit.FINE


def _tell(there: Sequence[Backup], damaged: Sequence[str]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    rows = [("backup", "took", "size", "stored", "log", "on")]
    for b in there:
        log = f"{b.start_lsn}…{b.stop_lsn} @{b.timeline}" if b.start_lsn else ""
        rows.append((b.id, f"{b.seconds:.1f} s", size(b.size), size(b.stored), log, b.base))
    widths = [max(len(r[i]) for r in rows) for i in range(6)]
    for n, row in enumerate(rows):
        cells = [c.rjust(w) if i in (1, 2, 3) else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        hold = f"  held: {there[n - 1].hold}" if n and there[n - 1].hold else ""
        page.line(Styled("  ".join(cells).rstrip(), "" if n else "dim"), Styled(hold, "warning"))
    if not there:
        page.flow("there is none yet: pgcharter backup take")
    for sentence in damaged:
        page.flow(Styled("✘ ", "error"), sentence, hanging=2)
    show(page)


def size(count: int) -> str:
    """Bytes as people read them."""
    for unit, step in (("GB", 30), ("MB", 20), ("kB", 10)):
        if count >= 10 << step:
            return f"{count / (1 << step):.0f} {unit}"
        if count >= 1 << step and unit == "GB":
            return f"{count / (1 << step):.1f} {unit}"
    return f"{count} B"


def data(one: Backup) -> dict[str, Any]:
    """A backup as JSON has it."""
    return {
        "id": one.id, "kind": one.kind, "engine": one.engine, "system": one.system, "server_version": one.version,
        "began": one.began.isoformat(), "ended": one.ended.isoformat(), "size": one.size, "stored": one.stored,
        "timeline": one.timeline, "start_lsn": one.start_lsn, "stop_lsn": one.stop_lsn, "base": one.base, "hold": one.hold,
    }  # fmt: skip


VERIFY = (
    ("pgcharter backup verify", "the newest, with its chain and the log behind it"),
    ("pgcharter backup verify --all", "every one"),
)


@backup.command("verify", cls=Command, examples=VERIFY)
@click.argument("name", default="latest")
@click.option("--all", "every", is_flag=True, help="All of them.")
@second_option
@format_option
def verify(form: str, name: str, *, every: bool, second: bool) -> int:
    """Read a backup whole: every byte, every file of PostgreSQL's manifest, every segment. Ends in 1 when something is wrong.

    It proves that what was stored is there; that it is right, only a drill does.
    """
    from pgcharter.cli.progress import progress

    chosen = engine(None, None, second=second, server=False)
    repository = chosen.repository()
    which = repository.backups() if every else (repository.find(name),)
    with progress("verifying") as advance:
        found = {b.id: chosen.verify(b, advance) for b in which}
    damaged = repository.damaged()
    if form == "json":
        data_ = [{"id": n, "problems": list(p)} for n, p in found.items()]
        show_json({"format": "pgcharter-backup-verify", "version": 1, "backups": data_, "damaged": list(damaged)})
    else:
        for name_, problems in found.items():
            click.echo(f"{name_}: {'nothing is wrong' if not problems else f'{len(problems)} problems'}")
            for problem in problems:
                click.echo(f"  {problem}")
        for problem in damaged:
            click.echo(problem)
    return Exit.FINDINGS if damaged or any(found.values()) else Exit.FINE


PRUNE = (
    ("pgcharter backup prune --dry-run", "say what would go"),
    ("pgcharter backup prune --yes", "remove what retention does not keep, and the log nobody needs"),
)


@backup.command("prune", cls=Command, examples=PRUNE)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@format_option
def prune(form: str, *, dry_run: bool, yes: bool) -> int:
    """Remove backups that retention does not keep, and the log that nobody needs, here and at the second location."""
    chosen = engine(None, None, server=False)
    going = chosen.prune(dry_run=True)
    if form == "text":
        for b in going:
            click.echo(f"{b.id}: {size(b.stored)}, ended {b.ended:%Y-%m-%d %H:%M} UTC")
        click.echo(f"{len(going)} of {len(chosen.backups())} backups {'would ' if dry_run else ''}go, {size(sum(b.stored for b in going))}")
    if not dry_run:
        if going and not yes and not click.confirm("remove them?", err=True):
            raise RefusedError("nothing was removed", hint="--yes answers beforehand")
        going = chosen.prune(dry_run=False)
    if form == "json":
        show_json({"format": "pgcharter-backup-prune", "version": 1, "dry_run": dry_run, "backups": [data(b) for b in going]})
    return Exit.FINE


HOLD = (
    ("pgcharter backup hold latest --reason 'case 4711'", "keep it whatever the retention says"),
    ("pgcharter backup hold 20261122T031500Z-full --reason ''", "let it go again"),
)


@backup.command("hold", cls=Command, examples=HOLD)
@click.argument("name")
@click.option("--reason", required=True, help="Why it must be kept; empty: it need not any more.")
def hold(name: str, reason: str) -> int:
    """Keep a backup, and what it is built on, whatever the retention says: a legal hold."""
    chosen = engine(None, None, server=False)
    held = chosen.hold(chosen.repository().find(name), reason.strip())
    click.echo(f"{held.id} is held: {held.hold}" if held.hold else f"{held.id} is no longer held")
    return Exit.FINE


from pgcharter.cli import backup_drill, backup_log, backup_restore  # noqa: E402, F401 - their commands join the group
