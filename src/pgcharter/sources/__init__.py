"""Anything that describes a PostgreSQL schema, read into one Reading: servers, SQL, Markdown, models, Alembic, snapshots."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.errors import UsageError

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import ScratchDatabase

Progress = Callable[[str, int, int], None]
"""Called as work goes on: what is being done, how many of how many. The total is 0 while unknown."""

Look = Callable[["Connection", "Reading"], "Reading"]
"""A further look at a database while it is there, after its catalog was read: returns the reading with what it found. On a live server
the connection is the user's; on a scratch database it is that of the unprivileged owner. Nothing it does may outlast it."""

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_MODELS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(\))?\Z")
_MARKDOWN = {".md", ".markdown", ".mdx", ".mkd"}
_WAYS = (
    "a target is a DSN, a file or folder of SQL, a Markdown file, module:attribute (SQLAlchemy), an Alembic project, or a snapshot (.json)"
)


def read(
    target: str,
    *,
    major: int | None = None,
    scratch_url: str | None = None,
    server: bool = True,
    progress: Progress | None = None,
    looks: Sequence[Look] = (),
) -> Reading:
    """Read `target`, whatever it is.

    `major` is the PostgreSQL version files are built on, `scratch_url` a server to build them on instead of an embedded one; with
    `server=False` files are only read as text. `looks` are taken at the database that holds the schema; a snapshot, a text and a Markdown
    document, which is built in many states, have none.
    Raises UsageError when the target cannot be understood, ConnectError when a server cannot be reached, UnavailableError when no
    PostgreSQL is at hand to build on or an extra is missing.
    """
    target = _named(target)
    scheme = _SCHEME.match(target)
    if scheme:
        return _live(_uri(target, scheme["scheme"]), looks)
    path = Path(target).expanduser()
    try:
        there = path.exists()
    except OSError:
        there = False
    if target == "-" or there:
        return _file(target, path, major, scratch_url, server, progress, looks)
    if "=" in target:
        return _live(_keywords(target), looks)
    if _MODELS.match(target):
        from pgcharter.sources import models

        return models.read(target, major=major, scratch_url=scratch_url, server=server, looks=looks)
    raise UsageError(f"there is no file or folder {target!r}, and it is no DSN either", hint=_near(path) or _WAYS)


def address(target: str) -> str:
    """The connection string that `target` means: a URI (also SQLAlchemy's), libpq keywords, or `env:NAME` with one of them in it.

    Raises UsageError when it is none.
    """
    target = _named(target)
    scheme = _SCHEME.match(target)
    return _uri(target, scheme["scheme"]) if scheme else _keywords(target)


def _named(target: str) -> str:
    """`env:NAME` looked up, so that a secret need not stand on the command line."""
    if not target.strip():
        raise UsageError("the target is empty", hint=_WAYS)
    if not target.startswith("env:"):
        return target
    name = target.removeprefix("env:")
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(f"environment variable {name} is not set, so there is no target", hint=f"export {name}=postgresql://...")
    return value


def _uri(target: str, scheme: str) -> str:
    family = scheme.lower().partition("+")[0]
    if family not in ("postgresql", "postgres"):
        raise UsageError(f"{scheme}:// is not a PostgreSQL address", hint="write postgresql://user@host:port/database")
    return "postgresql" + target[len(scheme) :]


def _keywords(target: str) -> str:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(target)
    except psycopg.ProgrammingError as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"the connection string cannot be understood: {reason}", hint="write host=... dbname=... user=...") from None
    return target


def taken(reading: Reading, conn: Connection, looks: Sequence[Look]) -> Reading:
    """`reading` after every further look at the database behind `conn`."""
    for look in looks:
        reading = look(conn, reading)
    return reading


def taken_on(database: ScratchDatabase, reading: Reading, looks: Sequence[Look]) -> Reading:
    """`taken` on a scratch database, as its owner. A look with a method `prepare` may first make there what only a superuser can."""
    for look in looks:
        prepare = getattr(look, "prepare", None)
        if prepare is not None:
            prepare(database.admin)
    return taken(reading, database.conn, looks)


def _live(dsn: str, looks: Sequence[Look]) -> Reading:
    from pgcharter.sources import live

    return live.read(dsn, looks=looks)


def _file(
    target: str, path: Path, major: int | None, scratch_url: str | None, server: bool, progress: Progress | None, looks: Sequence[Look]
) -> Reading:
    suffix = path.suffix.lower()
    if (path.is_dir() and (path / "alembic.ini").is_file()) or suffix == ".ini":
        from pgcharter.sources import alembic

        return alembic.read(target, major=major, scratch_url=scratch_url, server=server, progress=progress, looks=looks)
    if suffix in _MARKDOWN:
        from pgcharter.sources import markdown

        return markdown.read(target, major=major, scratch_url=scratch_url, server=server, progress=progress)
    if suffix == ".json":
        from pgcharter.sources import snapshot

        return snapshot.read(target)
    if suffix == ".py":
        module = path.stem
        raise UsageError(f"{target} is Python; models are named by module and attribute", hint=f"pgcharter check {module}:metadata")
    from pgcharter.sources import files

    return files.read(target, major=major, scratch_url=scratch_url, server=server, progress=progress, looks=looks)


def _near(path: Path) -> str:
    """A neighbour with nearly this name."""
    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean {path.parent / close[0]}?" if close else ""
