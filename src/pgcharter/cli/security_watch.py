"""`pgcharter security watch`: what has happened since the last look."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show
from pgcharter.errors import Exit, PgcharterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgcharter.catalog.alarms import Alarm, Facts
    from pgcharter.db import Connection
    from pgcharter.findings import Gap
    from pgcharter.sources.security import Position, Session

EXAMPLES = (
    ("pgcharter security watch --env production", "what has happened since the last look; the first one only takes note of what is"),
    ("pgcharter security watch --env production --forever --every 5min --format json", "a line of JSON for every look"),
)
_LOCAL = frozenset(("", "127.0.0.1", "::1"))


@dataclass(frozen=True)
class Seen:
    """What is remembered from look to look. Not in the database: who changes that could change this too."""

    taken: str = ""
    facts: Facts = field(default_factory=dict)
    log: Position | None = None
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """The result of one look."""

    alarms: tuple[Alarm, ...]
    gaps: tuple[Gap, ...]
    seen: Seen
    since: str
    explained: tuple[tuple[Alarm, str], ...] = ()
    """What a migration did that has run meanwhile, by the ledger, each with its title: no alarm."""


@click.command("watch", cls=Command, examples=EXAMPLES)
@click.option("--state", metavar="FILE", help="Where to remember what was seen.  [default: .pgcharter/watch/ beside the charter]")
@click.option("--forever", is_flag=True, help="Look again and again, until ended.")
@click.option("--every", default="5min", show_default=True, metavar="TIME", help="Time between two looks, with --forever.")
@database_options
@format_option
def watch(environment: str | None, target: str | None, form: str, state: str | None, every: str, *, forever: bool) -> int:
    """Tell what concerns security and has happened since the last look. Ends in 1 when there is something.

    New and changed roles, memberships, grants and owners; row security, row policies, definer functions, event triggers, extensions;
    logins of privileged roles, failed logins, connections without TLS.
    """
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.measures import seconds

    named, dsn = migrating.database(environment, target)
    pause = seconds(every, "--every")
    path = Path(state) if state else charter_here().folder / ".pgcharter" / "watch" / f"{_file_name(named, dsn)}.json"
    database = migrating.called(named, dsn)
    while True:
        try:
            code = _once(dsn, database, path, form, lines=forever)
        except PgcharterError as error:
            if not forever or isinstance(error, UsageError):
                raise
            click.echo(f"error: {error}", err=True)
        if not forever:
            return code
        time.sleep(pause)


def _file_name(named: str, dsn: str) -> str:
    import hashlib

    from pgcharter.redact import redact

    return named or hashlib.sha256(redact(dsn).encode()).hexdigest()[:12]


def _once(dsn: str, database: str, path: Path, form: str, *, lines: bool) -> int:
    from pgcharter.db import connect

    old = _remembered(path)
    with connect(dsn) as conn:
        look = _look(conn, old)
    _remember(path, look.seen)
    if form == "json":
        text = json.dumps(_data(database, look), ensure_ascii=False, indent=None if lines else 2)
        from pgcharter.render.page import UNSAFE

        click.echo(UNSAFE.sub(lambda m: m[0] if m[0] == "\n" else json.dumps(m[0])[1:-1], text))
    else:
        _print(database, look)
    return Exit.FINDINGS if look.alarms else Exit.FINE


def _look(conn: Connection, old: Seen | None) -> Look:
    from pgcharter.catalog import alarms
    from pgcharter.db.queries import load
    from pgcharter.sources import live, security

    row = conn.execute(load("pgcharter.sources", "security.sql")["now"]).fetchone()
    now, me = row or ("", "")
    catalog, cluster = live.read_catalog(conn), live.read_cluster(conn)
    facts = alarms.facts(catalog, cluster)
    there, gaps = security.sessions(conn)
    text, position, unread = security.log_since(conn, old.log if old else None)
    seen = Seen(now, facts, position, tuple(s.key for s in there))
    gaps = (*catalog.gaps, *gaps, *unread)
    plain = tuple(_plain(there))
    if old is None:
        return Look(plain, gaps, seen, "")
    privileged = frozenset(r.name for r in cluster.roles if r.superuser or r.bypass_row_security or r.create_role)
    found = (*alarms.alarms(old.facts, facts), *_logins(there, old), *security.log_alarms(text, privileged, me), *plain)
    explained, left = alarms.explained(dict.fromkeys(found), _migrations(conn, old.taken))
    return Look(left, gaps, seen, old.taken, explained)


def _logins(there: tuple[Session, ...], old: Seen) -> Iterator[Alarm]:
    from pgcharter.catalog.alarms import Alarm
    from pgcharter.names import quote

    for s in there:
        if s.privileged and s.key not in old.sessions:
            where = f"from {s.address}" if s.address else "by the local socket"
            yield Alarm(
                "login", s.role, f"role {quote(s.role)}, which is privileged, is logged in {where} with {s.application or 'no name'}"
            )


def _plain(there: tuple[Session, ...]) -> Iterator[Alarm]:
    from pgcharter.catalog.alarms import Alarm
    from pgcharter.names import quote

    for role, address in sorted({(s.role, s.address) for s in there if not s.tls and s.address not in _LOCAL}):
        yield Alarm("plain connection", role, f"role {quote(role)} is connected from {address} without TLS: what it sends can be read")


def _migrations(conn: Connection, since: str) -> list[tuple[str, str]]:
    """Title and text of the migrations that ran since, by the ledger; none where there is no ledger that we may read."""
    from pgcharter.db.queries import load

    sql = load("pgcharter.sources", "security.sql")
    row = conn.execute(sql["ledger"]).fetchone()
    return list(conn.execute(sql["migrations"], [since])) if row and row[0] else []


def _remembered(path: Path) -> Seen | None:
    from pgcharter.sources.security import Position

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        log = Position(**data["log"]) if data["log"] else None
        return Seen(data["taken"], data["facts"], log, tuple(data["sessions"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} does not hold what an earlier look remembered ({type(error).__name__}), so nothing can be compared",
            hint=f"rm {path}, and the next look begins anew",
        ) from None


def _remember(path: Path, seen: Seen) -> None:
    """Write what was seen, whole or not at all, readable by us alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(seen), file, ensure_ascii=False)
        partial.replace(path)
    except OSError as error:
        raise PgcharterError(f"{path} cannot be written: {error.strerror}", hint="name another file with --state") from None


def _data(database: str, look: Look) -> dict[str, Any]:
    return {
        "format": "pgcharter-watch",
        "version": 1,
        "database": database,
        "since": look.since or None,
        "taken": look.seen.taken,
        "alarms": [asdict(a) for a in look.alarms],
        "explained": [{**asdict(a), "migration": title} for a, title in look.explained],
        "not_seen": [{"what": g.what, "why": g.why} for g in look.gaps],
    }


def _print(database: str, look: Look) -> None:
    from pgcharter.render.page import Page, Styled
    from pgcharter.render.phrases import plural

    page = Page(screen())
    since = f"since {look.since[:19]}" if look.since else "first look: what is there now was taken note of"
    page.flow(Styled(database, "strong"), f" · {since} · {plural(len(look.alarms), 'alarm') if look.alarms else 'nothing'}")
    for alarm in look.alarms:
        page.flow(Styled("✘ ", "bad"), Styled(f"{alarm.kind}: ", "dim"), alarm.message, indent=2, hanging=4)
    for alarm, title in look.explained:
        page.flow(Styled(f"by migration {title}: {alarm.message}", "dim"), indent=2, hanging=4)
    for gap in look.gaps:
        page.flow(Styled(f"cannot be seen: {gap.what}: {gap.why}", "dim"), indent=2, hanging=4)
    show(page)
