"""How the trail stands: what is recorded, what is not sealed yet, whether months have partitions; and pgAudit beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pgcharter.db import Connection, queries
from pgcharter.errors import UnavailableError
from pgcharter.policy.audit_tables import first, partition


@dataclass(frozen=True)
class Status:
    """How the trail of a database stands."""

    tables: tuple[str, ...]
    """Tables whose rows are recorded."""
    off: tuple[str, ...]
    """Those of them whose trigger was turned off, or only runs sometimes."""
    chained: bool
    upto: int
    unsealed: int
    window: float
    """Age of the oldest row that is not sealed, in seconds; 0 where all are."""
    waiting: tuple[str, ...]
    """Open transactions that hold sealing up."""
    unplaced: int
    """Rows for whose month there was no partition."""
    next_month: bool
    """Whether the next month has its partition."""

    def wrong(self, window: float = 300) -> list[str]:
        """What should not be so, each as a sentence with its remedy; `window` is the age in seconds that an unsealed row may have."""
        return list(self._wrong(window))

    def _wrong(self, window: float) -> Iterator[str]:
        if self.chained and self.window > window:
            held = f"; held up by {'; '.join(self.waiting)}" if self.waiting else ""
            yield f"rows have not been sealed for {self.window:.0f} s, so nothing vouches for them{held}: pgcharter audit seal"
        if self.unplaced:
            yield f"{self.unplaced} rows had no partition for their month and are kept apart: pgcharter policy apply makes the next"
        if not self.next_month:
            yield "the next month has no partition, so its rows will be kept apart: pgcharter policy apply makes partitions"
        for table in self.off:
            yield f"the trigger of {table} is not always on, so changes go unrecorded: pgcharter policy apply"


def read(conn: Connection) -> Status:
    """Read it. Raises UnavailableError where nothing was ever recorded."""
    sql = queries.load("pgcharter.migrate", "audit_seals.sql")
    there, chained = conn.execute(sql["there"]).fetchone() or (False, False)
    if not there:
        raise UnavailableError(
            "there is no pgcharter.audit_log: nothing is recorded in this database",
            hint="[audit] in the charter, then: pgcharter policy apply",
        )
    last = conn.execute(sql["last"]).fetchone() if chained else None
    upto = int(last[1]) if last else 0
    count, oldest = (conn.execute(sql["waiting"], (upto,)).fetchone() or (0, None)) if chained else (0, None)
    now = datetime.now(UTC)
    triggers = conn.execute(sql["triggers"]).fetchall()
    months = {name for (name,) in conn.execute(sql["months"])}
    return Status(
        tables=tuple(f"{schema}.{name}" for schema, name, _ in triggers),
        off=tuple(f"{schema}.{name}" for schema, name, enabled in triggers if enabled != "A"),
        chained=bool(chained),
        upto=upto,
        unsealed=int(count),
        window=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        waiting=tuple(f"process {pid} of {user}, open for {age:.0f} s" for _, pid, user, age in conn.execute(sql["writers"])),
        unplaced=int((conn.execute(sql["unplaced"]).fetchone() or (0,))[0]),
        next_month=partition(first(now.date(), 1)).name in months,
    )  # fmt: skip


@dataclass(frozen=True)
class Lacking:
    """A setting that pgAudit lacks."""

    sentence: str
    remedy: str
    """SQL."""


def pgaudit(conn: Connection, wanted: Sequence[str]) -> list[Lacking]:
    """What pgAudit lacks on this server to log the classes that are `wanted`; nothing where nothing is."""
    if not wanted:
        return []
    row = conn.execute(
        "SELECT current_setting('shared_preload_libraries'), current_setting('pgaudit.log', true),"
        " EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pgaudit')"
    ).fetchone()
    libraries, classes, installed = row or ("", "", False)
    loaded = [name.strip(" '\"") for name in libraries.split(",") if name.strip()]
    if "pgaudit" not in loaded:
        names = ", ".join((*loaded, "pgaudit"))
        sentence = (
            f"pgAudit is not loaded, so it logs nothing and takes no setting yet: set this, restart, ask again for {', '.join(wanted)}"
        )
        return [Lacking(sentence, f"ALTER SYSTEM SET shared_preload_libraries = {names};")]
    found = []
    logged, asked = logs(classes or ""), logs(",".join(wanted))
    if lacking := [c for c in CLASSES if c in asked - logged]:
        every = [c for c in CLASSES if c in asked | logged]
        words = "all" if len(every) == len(CLASSES) else ", ".join(every)
        found.append(
            Lacking(f"pgAudit does not log {', '.join(lacking)}", f"ALTER SYSTEM SET pgaudit.log = '{words}'; SELECT pg_reload_conf();")
        )
    if not installed and "ddl" in asked:
        found.append(Lacking("extension pgaudit is not made here, without which it tells no object of DDL", "CREATE EXTENSION pgaudit;"))
    return found


CLASSES = ("read", "write", "function", "role", "ddl", "misc", "misc_set")
"""What `all` stands for."""


def logs(setting: str) -> frozenset[str]:
    """The classes that a value of `pgaudit.log` logs: it is read from left to right, and a minus takes a class away (pgaudit.c)."""
    found: set[str] = set()
    for word in setting.lower().split(","):
        name = word.strip().removeprefix("-").strip()
        meant = CLASSES if name == "all" else (name,) if name in CLASSES else ()
        found = found.difference(meant) if word.strip().startswith("-") else found.union(meant)
    return frozenset(found)
