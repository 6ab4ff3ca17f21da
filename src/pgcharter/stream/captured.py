"""Changes that triggers wrote down, in place of a slot: read once they are settled, in order of their positions.

A position is drawn when a row was changed, under the row's lock, so of one row the later change has the greater one. Whoever writes holds a
lock that says from where on it may still write (decision 0019); up to the smallest one held everything is committed or rolled back.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.db import Connection, queries
from pgcharter.errors import ConnectError, PgcharterError, RefusedError, UnavailableError
from pgcharter.stream import captured_rows, slots, source
from pgcharter.stream.captured_rows import Shape
from pgcharter.stream.errors import SlotLostError
from pgcharter.stream.model import Relation
from pgcharter.stream.passed import Passed
from pgcharter.stream.replication import SlotBusyError
from pgcharter.stream.slots import Slot, Snapshot
from pgcharter.stream.source import Table, TypeNames
from pgcharter.stream.transactions import Held, Transaction

if TYPE_CHECKING:
    from pgcharter.stream.worker import Job

ROWS = 5_000
"""Changes that are asked for at a time."""
BYTES = 1 << 20
"""Bytes of changes that are given on at a time, about."""
SHORTEST, LONGEST = 0.002, 0.05
"""Least and most seconds between two looks at the log."""
LEASE = 5.0
"""Seconds after which a worker says that it is there; it is taken for gone after 15."""
FRESH = 0.25
"""Seconds for which what tables look like is taken for true."""
COUNTED = 100_000
"""Changes that are counted one by one."""
PART = 64 << 20
"""Bytes at which a part of the log is full."""


def query(conn: Connection, name: str) -> bytes:
    """A query of captured.sql."""
    return queries.query("pgcharter.stream", "captured.sql", name, conn.info.server_version // 10000).encode()


def here(conn: Connection) -> bool:
    """Whether changes in this database are written down by triggers."""
    return bool(_one(conn, "here"))


def settled(conn: Connection) -> int:
    """Position up to which every change is committed or rolled back: a snapshot taken from now on shows it all."""
    row = conn.execute("SELECT pgcharter.sync_settled()").fetchone()
    return int(row[0]) if row else 0


def last(conn: Connection) -> int:
    """Position of the last change that somebody has made, committed or not."""
    return int(_one(conn, "last"))


def behind(conn: Connection, position: int) -> tuple[int, int]:
    """Changes behind a position, about, and their bytes."""
    row = conn.execute(query(conn, "behind"), [position]).fetchone()
    rows, size, highest = row if row else (0, 0, 0)
    scale = max(1.0, (highest - position) / rows) if rows == COUNTED else 1.0
    return int(rows * scale), int(size * scale)


def _one(conn: Connection, name: str, parameters: Any = None) -> Any:
    row = conn.execute(query(conn, name), parameters).fetchone()
    return row[0] if row else None


class Seen(Passed):
    """What a reader of settled changes has passed: the source shows it all."""

    def low(self, conn: Connection) -> int:
        """Position of which a snapshot that is taken from now on shows everything."""
        return settled(conn)


class Captured:
    """The log of triggers in schema pgcharter. See Capture for what its methods do."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.passed: Passed = Seen()

    def look(self, conn: Connection) -> Slot | None:
        """How far it is read. Its `held` and `lag` are bytes of the log, and changes that were not confirmed."""
        if not here(conn):
            return None
        row = conn.execute(query(conn, "capture"), [self._job.slot]).fetchone()
        if row is None:
            return None
        position, lost, pid, held, high = row
        return Slot(
            self._job.slot, "triggers", True, pid, "lost" if lost else "reserved", position, position, None, "", False, held or 0,
            max(0, high - position),
        )  # fmt: skip

    def usable(self, conn: Connection) -> Slot:
        """See Capture."""
        found = self.look(conn)
        if found is None:
            raise SlotLostError(f"no changes are captured for {self._job.slot}, so nothing says where the copies go on", hint=slots.BEGIN)
        if found.status == "lost":
            raise SlotLostError(
                f"changes for {self._job.slot} were more than [sync] keep allows while nobody fetched them, so they were not written down"
                " any more",
                hint="pgcharter sync init --anew begins again, and seeds the copies anew",
            )
        return found

    def ready(self, conn: Connection) -> Iterator[str]:
        """See Capture."""
        if not here(conn):
            raise UnavailableError(
                "there is no log of changes in this database yet, so triggers write nothing down", hint="pgcharter policy apply"
            )
        row = conn.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
        if row and row[0]:
            raise UnavailableError("the server is a standby, where nobody writes down changes", hint="name the primary")
        yield from ()

    def complete(self, conn: Connection, tables: Collection[Table]) -> None:
        """See Capture."""
        tables = tuple(tables)
        slots.published(conn, self._job.publication, self._job.tables, tables)
        if missing := self.missing(conn, tables):
            raise PgcharterError(
                f"triggers of {', '.join(missing)} were dropped or switched off, so changes there are not copied",
                hint="pgcharter policy apply puts it right; what was changed meanwhile was not written down: then pgcharter sync reset SINK"
                " --table TABLE",
            )

    def missing(self, conn: Connection, tables: Iterable[Table]) -> list[str]:
        """See Capture."""
        tables = tuple(tables)
        bare = set(_one(conn, "untriggered", [[t.relation.oid for t in tables]]) or ())
        bare_names = {n for t in tables if t.relation.oid in bare for n in t.names}
        return sorted({*slots.lacking(self._job.tables, tables), *bare_names.intersection(self._job.tables)})

    @contextmanager
    def begin(self, conn: Connection, *, failover: bool) -> Iterator[Snapshot]:
        """See Capture. Waits for transactions that write at this moment."""
        if failover:
            raise RefusedError("what triggers write down is on every standby anyway", hint="leave --failover out")
        self._write_down(conn)
        oids = [t.relation.oid for t in source.tables(conn, self._job.publication)]
        writing = _one(conn, "writers", [oids])
        while writing:
            time.sleep(0.02)
            writing = _one(conn, "left", [writing])
        low = settled(conn)
        conn.execute(query(conn, "make"), [self._job.slot, low])
        with source.open_source(self._job.dsn) as held:
            held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = held.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
            source.flush(conn)  # else a crash could take back positions that rows of the snapshot are stamped with
            yield Snapshot(str(row[0]) if row else "", low)

    def _write_down(self, conn: Connection) -> None:
        conn.execute("SELECT pgcharter.sync_rotate(%s)", [PART])  # what is there from before has no reader
        until = time.monotonic() + 60
        while (row := conn.execute("SELECT pgcharter.sync_turn(true)").fetchone()) and not row[0]:
            if time.monotonic() > until:
                raise RefusedError(
                    "a transaction is open that has written down changes before capture was ended, so it cannot begin again",
                    hint="SELECT * FROM pg_stat_activity WHERE state = 'idle in transaction'; SELECT * FROM pg_prepared_xacts",
                )
            time.sleep(0.05)

    def drop(self, conn: Connection) -> None:
        """See Capture."""
        if here(conn):
            conn.execute("DELETE FROM pgcharter.sync_captures WHERE slot = %s", [self._job.slot])
            conn.execute("SELECT pgcharter.sync_turn(false) WHERE NOT EXISTS (SELECT FROM pgcharter.sync_captures)")

    @contextmanager
    def feed(self, conn: Connection, type_name: TypeNames) -> Iterator[_Feed]:
        """See Capture."""
        owner = f"{socket.gethostname()}:{self._job.folder.resolve()}"  # only one worker of a machine has the folder
        row = conn.execute(query(conn, "take"), [owner, os.getpid(), self._job.slot, owner]).fetchone()
        if row is None:
            raise SlotBusyError(f"changes for {self._job.slot} are read by another worker", hint="one worker reads them: stop the other")
        token, position = row
        try:
            yield _Feed(self._job, conn, type_name, token, max(position, self.passed.at - 1))
        finally:
            with suppress(psycopg.Error):
                conn.execute(query(conn, "leave"), [self._job.slot, token])

    def now(self, conn: Connection) -> int:
        """See Capture. Changes of transactions that are open are among them: what comes behind them cannot be read before they end."""
        return last(conn) + 1


class _Feed:
    def __init__(self, job: Job, conn: Connection, type_name: TypeNames, token: int, position: int) -> None:
        self._job, self._conn, self._type_name, self._token = job, conn, type_name, token
        self._position, self._confirmed, self._told = position, position, time.monotonic()
        self._shapes: dict[tuple[int, int], Shape | None] = {}
        self._tables: dict[int, Table] = {}
        self._looked = 0.0
        self._wait = SHORTEST
        self.wanted = False

    @property
    def received(self) -> int:
        return self._position + 1

    @property
    def bound(self) -> int:
        return self._position + 1

    def receive(self, wait: float) -> Iterator[Transaction]:
        with _reading():
            upto = settled(self._conn)
            if upto <= self._position:
                time.sleep(min(self._wait, wait))
                self._wait = min(self._wait * 2, LONGEST)
                return
            source.flush(self._conn)  # of what is settled nothing must be undone by a crash, nor positions be drawn again
            rows = self._conn.execute(query(self._conn, "rows"), [self._position, upto, ROWS]).fetchall()
            self._look()
            given = list(self._transactions(rows))
        self._wait = SHORTEST
        yield from given
        self._position = rows[-1][0] if len(rows) == ROWS else upto

    def _transactions(self, rows: list[tuple[Any, ...]]) -> Iterator[Transaction]:
        relations: dict[int, Relation] = {}
        held, first, at, written = Held(self._job.folder), 0, 0, 0
        for position, oid, op, mark, row, old, moment in rows:
            of = self._shape(oid, mark) if op != "TRUNCATE" else self._truncated(oid)
            if of is None:
                continue
            relation = of.relation if isinstance(of, Shape) else of
            before = relations.get(relation.oid)
            if held.size >= BYTES or (before is not None and before is not relation and op != "TRUNCATE"):
                yield Transaction(at, at, written, 0, dict(relations), held, self._type_name, first=first)
                held, first = Held(self._job.folder), 0
            if before is None or op != "TRUNCATE":
                relations[relation.oid] = relation
            held.add(captured_rows.message(position, moment, op, of if isinstance(of, Shape) else of.oid, row, old))
            first, at, written = first or position, position, moment
        if held.size:
            yield Transaction(at, at, written, 0, relations, held, self._type_name, first=first)

    def _look(self) -> None:
        """See what tables look like now: what is published of them, and what tells their rows apart."""
        if time.monotonic() - self._looked < FRESH:
            return
        tables = {t.relation.oid: t for t in source.tables(self._conn, self._job.publication)}
        if {o: t.relation for o, t in tables.items()} != {o: t.relation for o, t in self._tables.items()}:
            self._tables = tables
            self._shapes.clear()
        self._looked = time.monotonic()

    def _truncated(self, oid: int) -> Relation | None:
        return self._tables[oid].relation if oid in self._tables else None

    def _shape(self, oid: int, mark: int) -> Shape | None:
        """How rows looked; None for a table that is not copied any more."""
        key = oid, mark
        if key not in self._shapes:
            row = self._conn.execute(query(self._conn, "shapes"), [oid, mark]).fetchone()
            table = next((self._tables[o] for o in (oid, *row[0]) if o in self._tables), None) if row else None
            self._shapes[key] = captured_rows.shape(table, *row[1:]) if table is not None and row else None
        return self._shapes[key]

    def confirm(self, position: int) -> None:
        now = time.monotonic()
        if position - 1 <= self._confirmed and now - self._told < LEASE:
            return
        with _reading():
            done = self._conn.execute(query(self._conn, "move"), [position - 1, self._job.slot, self._token])
        if not done.rowcount:
            raise ConnectError(f"changes for {self._job.slot} are read by another worker since")
        self._confirmed, self._told = max(self._confirmed, position - 1), now

    def tick(self, conn: Connection) -> None:
        """Have parts of the log emptied that everybody has read, and see that changes are still written down."""
        conn.execute("SELECT pgcharter.sync_rotate(%s)", [min(PART, self._job.keep // 8)])
        row = conn.execute(query(conn, "alive"), [self._job.slot]).fetchone()
        if row is None or row[0]:
            Captured(self._job).usable(conn)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise ConnectError(f"the source was lost while changes were read: {error.diag.message_primary or error}") from None
