"""Requests of people to runs of migrations (pause, resume, stop), kept in the database so that they outlive every process; and how far each
run is, told to whoever looks. The runner asks and tells on the connection of its lock, a few times a second, never inside a migration.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from pgcharter.db import queries
from pgcharter.errors import PgcharterError
from pgcharter.migrate.progress import Progress
from pgcharter.migrate.watch import Event, Note, Paused, Resumed, UnitBegun, Watch
from pgcharter.names import quote
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.db import Connection

Word = Literal["pause", "resume", "stop", "stop now"]
"""stop: at the next place where nothing is lost. stop now: the statement at work is cancelled."""
ASK, SAY = 0.5, 1.0
"""Seconds between two questions for requests, and between two reports."""
SHORT = 1.5
"""Seconds a run lasts before it says anything of itself: most are over sooner."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked of the runs of a database."""

    id: int
    word: Word
    at: datetime
    by: str
    """Account and machine: `anna@ws7`."""
    role: str
    """Role that was logged in."""
    reason: str = ""

    def __str__(self) -> str:
        who = f"{self.by} (role {self.role})" if self.by else f"role {self.role}"
        return f"{who} asked for it on {self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Runner:
    """A run of migrations at work."""

    pid: int
    """Process of the server that holds the runner's lock."""
    role: str
    by: str = ""
    """Account and machine where it runs."""
    started: datetime | None = None
    said: datetime | None = None
    """When it last told how far it is; None when it did not yet."""
    schema: str = ""
    """The schema whose history it works on; empty for the database's."""
    direction: str = ""
    progress: Progress = field(default_factory=Progress)


@dataclass
class Control:
    """The runner's side: hears requests, reports how far it is. A Watch. What the database refuses here never harms the run."""

    conn: Connection
    """That of the runner's lock."""
    watch: Watch
    direction: str
    schema: str = ""
    at_work: bool = False
    """Whether anything was begun in this run."""
    progress: Progress = field(default_factory=Progress)
    _began: float = field(default_factory=time.monotonic)
    _first: int = 0
    """The last request before this run: stops up to it are not meant for it."""
    _pause: Request | None = None
    _stop: Request | None = None
    _asked: float = float("-inf")
    _said: float = float("-inf")
    _there: bool = False
    _deaf: bool = False
    _mute: bool = False

    def __post_init__(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self.conn.execute("SET lock_timeout = '1s'; SET statement_timeout = '5s'; SET synchronous_commit = off")
            if self._is_there():
                self._first = _value(self.conn, "last")

    def __call__(self, event: Event) -> None:
        """Take an event into the report."""
        self.at_work = self.at_work or isinstance(event, UnitBegun)
        self.progress = self.progress.after(event)
        self.tell(at_once=isinstance(event, Paused | Resumed))

    def heard_by(self, watch: Watch) -> Watch:
        """A Watch that tells both this report and `watch`."""

        def both(event: Event) -> None:
            self(event)
            watch(event)

        return both

    @property
    def pause(self) -> Request | None:
        """The request by which this run waits now."""
        self._ask()
        return self._pause

    @property
    def stop(self) -> Request | None:
        """The request by which this run is to end."""
        self._ask()
        return self._stop

    def _is_there(self) -> bool:
        self._there = self._there or bool(_value(self.conn, "there"))
        return self._there

    def _ask(self) -> None:
        now = time.monotonic()
        if self._deaf or now - self._asked < ASK:
            return
        self._asked = now
        try:
            found = asked(self.conn) if self._is_there() else ()
        except psycopg.errors.InsufficientPrivilege as error:
            self._deaf = True
            self.watch(Note(f"this run cannot be paused or stopped from elsewhere: {error.diag.message_primary}", _grant(self.conn)))
            return
        except psycopg.Error:
            return
        self._pause = next((r for r in found if r.word == "pause"), None)
        self._stop = next((r for r in found if r.word in ("stop", "stop now") and r.id > self._first), None)

    def tell(self, *, at_once: bool = False) -> None:
        """Write down how far this run is, when that is due."""
        now = time.monotonic()
        if self._mute or (not at_once and (now - self._said < SAY or now - self._began < SHORT)):
            return
        from psycopg.types.json import Jsonb

        first, self._said = self._said < 0, now
        try:
            if not self._is_there():
                install(self.conn)
            if first:
                self.conn.execute(_sql("sweep"))
            self.conn.execute(_sql("say"), (now - self._began, whoami(), self.schema, self.direction, Jsonb(self.progress.data())))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
            self._mute = True
        except psycopg.Error:
            return

    def close(self) -> None:
        """Take the report back: nothing is at work any more."""
        if self._said > 0:
            with contextlib.suppress(psycopg.Error):
                self.conn.execute(_sql("sweep"))


def whoami() -> str:
    """Account and machine that this program runs on: `anna@ws7`."""
    try:
        account = getpass.getuser()
    except (OSError, KeyError):
        account = "?"
    return f"{account}@{socket.gethostname()}"


def install(conn: Connection) -> None:
    """Make the tables where they are not there; psycopg's errors where that is not allowed."""
    with conn.transaction():
        conn.execute("SET LOCAL client_min_messages = warning")
        conn.execute(_sql("lock"))
        if not _value(conn, "schema"):  # who may not make schemas is refused IF NOT EXISTS too
            conn.execute(_sql("make_schema"))
        conn.execute(_sql("install"))


def asked(conn: Connection) -> tuple[Request, ...]:
    """The last pause or resume, and the last stop, in the order in which they were asked; none where nobody ever asked."""
    return tuple(Request(*row) for row in conn.execute(_sql("asked")).fetchall())


def ask(conn: Connection, word: Word, reason: str = "") -> Request:
    """Record a request for the runs of this database. Raises PgcharterError when the role may not."""
    try:
        if not _value(conn, "there"):
            install(conn)
        row = conn.execute(_sql("ask"), (word, whoami(), redact(reason))).fetchone()
    except (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise PgcharterError(
            f"the request cannot be recorded in this database, so no run hears of it: {error.diag.message_primary}",
            hint=_remedy(conn, error),
        ) from None
    assert row is not None  # noqa: S101  (RETURNING gives a row)
    return Request(*row)


def paused(conn: Connection) -> Request | None:
    """The request by which runs in this database wait, if there is one that this role may see."""
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        if _value(conn, "there"):
            return next((r for r in asked(conn) if r.word == "pause"), None)
    return None


def runners(conn: Connection) -> tuple[Runner, ...]:
    """The runs at work in this database, with what they say of themselves; one that has said nothing is known by its session only."""
    from pgcharter.migrate.lock import RUNNER

    holders = conn.execute(_sql("holders"), (RUNNER,)).fetchall()
    said: dict[int, Runner] = {}
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        if holders and _value(conn, "there"):
            for pid, started, at, by, role, schema, direction, progress in conn.execute(_sql("said")).fetchall():
                said[pid] = Runner(pid, role, by, started, at, schema, direction, Progress.read(progress))
    return tuple(said.get(pid) or Runner(pid, role, started=since) for pid, role, since in holders)


def _remedy(conn: Connection, error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return "connect to the primary, as a role that may write"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _grant(conn)
    return "somebody has changed the table; it is made anew after DROP TABLE pgcharter.migration_requests"


def _grant(conn: Connection) -> str:
    role = quote(conn.info.user)
    return (
        f"as the owner of schema pgcharter: GRANT USAGE, CREATE ON SCHEMA pgcharter TO {role}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgcharter TO {role}"
    )


def _value(conn: Connection, name: str) -> Any:
    row = conn.execute(_sql(name)).fetchone()
    return row[0] if row else None


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.migrate", "control.sql")[name].encode()
