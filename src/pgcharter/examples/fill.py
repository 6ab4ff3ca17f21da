"""Filling a database with plausible data in batches that commit, so that an interrupted fill goes on where it was."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pgcharter.errors import RefusedError, UsageError
from pgcharter.examples.build import query

if TYPE_CHECKING:
    from pgcharter.db import Connection

Advance = Callable[[str, int, int], None]


class Fill(Protocol):
    """What a module that defines a fill offers."""

    NAME: str
    """Name in the record."""
    UNIT: str
    """What is counted: orders."""
    TOTAL: int
    """How many there are unless somebody asks for another number."""
    STEP: int
    """How many are loaded in one transaction."""
    VERSION: int
    """Raised whenever the same numbers give other rows."""

    def begin(self, conn: Connection) -> None:
        """Load what comes before the first batch, in the caller's transaction."""
        ...

    def load(self, conn: Connection, first: int, last: int) -> None:
        """Load numbers `first` to `last` - 1, in the caller's transaction; the rows depend on nothing but the numbers."""
        ...

    def finish(self, conn: Connection) -> None:
        """Gather statistics and refresh summaries; may be repeated."""
        ...


def of_example(name: str) -> Fill | None:
    """The fill of a packaged example; None when it has none."""
    if importlib.util.find_spec(f"pgcharter.examples.{name}.fill") is None:
        return None
    return cast(Fill, importlib.import_module(f"pgcharter.examples.{name}.fill"))


def of_file(path: Path) -> Fill:
    """The fill defined in a Python file of the user's, which is run. Raises UsageError when it defines none."""
    spec = importlib.util.spec_from_file_location("pgcharter_fill", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{path} is not a Python file that could define a fill")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    missing = [n for n in ("NAME", "UNIT", "TOTAL", "STEP", "VERSION", "begin", "load", "finish") if not hasattr(module, n)]
    if missing:
        raise UsageError(f"{path} does not define {', '.join(missing)}, so it is not a fill", hint="see pgcharter.examples.fill.Fill")
    return cast(Fill, module)


def fill(conn: Connection, what: Fill, total: int, advance: Advance | None = None, *, step: int = 0) -> int:
    """Load up to `total` in batches of `step`, going on where the record says an earlier run was; return how many were loaded now.

    Each batch and the record of it are one transaction: however this ends, no row is missing or there twice.
    Raises RefusedError when the record was written by another version of the fill.
    """
    done = began = _begin(conn, what)
    step = step or what.STEP
    while done < total:
        last = min(done - done % step + step, total)
        with conn.transaction():
            what.load(conn, done, last)
            changed = conn.execute(query("advance"), (last, what.NAME, done))
            if changed.rowcount != 1:
                raise RefusedError(f"somebody else is filling this database with {what.UNIT}, so this run stopped")
        done = last
        if advance:
            advance(what.UNIT, done, total)
    if done > began:
        _forget_reads(conn)
    return done - began


def _forget_reads(conn: Connection) -> None:
    """Set the counters of the database to zero: what loading has read says nothing about which tables and indexes are used."""
    conn.execute("SELECT pg_stat_force_next_flush()")
    conn.execute("SELECT pg_stat_reset()")


def _begin(conn: Connection, what: Fill) -> int:
    """How many are there already; makes the record and loads the base when it is the first time."""
    with conn.transaction():
        row = conn.execute(query("progress"), (what.NAME,)).fetchone()
        if row is None:
            what.begin(conn)
            conn.execute(query("begin_fill"), (what.NAME, what.VERSION))
            return 0
    if row[0] != what.VERSION:
        raise RefusedError(
            f"the data of {what.NAME} in this database was begun by another version of pgcharter, whose rows do not fit",
            hint="run `pgcharter up` with --fresh, which drops the database first",
        )
    return int(row[1])


def done(conn: Connection, what: Fill) -> int:
    """How many are there according to the record."""
    row = conn.execute(query("progress"), (what.NAME,)).fetchone()
    return int(row[1]) if row else 0
