"""Copies compared with their source, and put right: what is stored is compared, never what was sent.

Keys are spread over parts by their hash. Both sides are summed part by part; rows are looked at only where sums differ. A difference
counts when it cannot be a change on its way: the copy has all that was committed before the moment of the source that it is held against,
and its row is older than that moment; where it has no row, when that is so twice in a row. What changes meanwhile is looked at again. A
repair has the moment's stamp, so it loses against every change the moment does not hold, and wins against all others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pgcharter import faults
from pgcharter.db import Connection
from pgcharter.errors import RefusedError
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.stream import reconcile_sql, reconcile_texts
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.model import Readable, Row, Shape, Shared, Sink, Stamp, Stored
from pgcharter.stream.reconcile_log import Log
from pgcharter.stream.reconcile_model import FEW, Difference, Options, Reached, Report
from pgcharter.stream.reconcile_moment import Moment, caught_up, moment, query
from pgcharter.stream.reconcile_rows import Keep, Parts, Placed, compared, groups, inside, placed, summed, unequal
from pgcharter.stream.reconcile_source import Source
from pgcharter.stream.source import flush, open_source

T = TypeVar("T")
_TRIES = 8
POINTS = ("reconcile summed", "reconcile found", "reconcile logged", "reconcile written", "reconcile noted")
"""Fault points of reconciliation."""


class Copy(Sink, Readable, Protocol):
    """A sink that can be read back."""


@dataclass(frozen=True)
class Side:
    """Which copy of what, and how far the stream is; None: nothing streams, what is stored is all there is."""

    source: str
    """Connection string."""
    sink: Copy
    mapping: MappingTable
    name: str = ""
    """The sink's name."""
    slot: str = ""
    publication: str = ""
    secret: bytes = b""
    """Of masks `hash`."""
    reached: Reached | None = None
    logged: bool = True
    """Whether corrections are noted in pgcharter.sync_corrections of the source."""


def reconcile(side: Side, options: Options = Options()) -> Report:  # noqa: B008 - frozen
    """Compare a copy with its source; repair it when `options.repair`. Runs beside the stream, and beside itself.

    Raises RefusedError where more differs than `options.share`, before anything is written; PgcharterError where the copy is behind or no
    moment of the source is known; SinkRefusedError where the sink cannot be read; what the sink raises.
    """
    began = time.monotonic()
    with open_source(side.source) as conn, open_source(side.source) as notes:
        run = _Run(side, options, conn, notes)
        try:
            run.all()
        finally:
            run.close()
            run.report.seconds = time.monotonic() - began
    return run.report


@dataclass
class _Seen:
    """Both sides of some parts at one moment."""

    at: Moment
    wanted: dict[Placed, Row]
    stored: dict[Placed, tuple[Shape, Stored]]


@dataclass
class _Run:
    side: Side
    options: Options
    conn: Connection
    notes: Connection
    """For what is written into the source."""
    report: Report = field(init=False)

    def __post_init__(self) -> None:
        if not hasattr(self.side.sink, "read"):
            raise SinkRefusedError(f"sink {self.side.name} passes messages on and keeps no rows, so there is nothing to compare")
        self.report = Report(self.side.mapping.table, self.side.name)
        self._source = Source(self.side.source, self.side.mapping, publication=self.side.publication, secret=self.side.secret)
        self._source.look(self.conn)
        self._pending: list[tuple[Stamp, Difference]] = []
        self._opened: set[Shape] = set()
        self._read = 0
        self._since = time.monotonic()
        self._reader: Connection | None = None
        self._parted = False
        """Whether parts are those that SQL makes."""

    def close(self) -> None:
        """Let go of the copy."""
        self.side.sink.close()
        if self._reader is not None:
            self._reader.close()

    def all(self) -> None:
        """Sum, look closer, repair."""
        if self.options.repair:
            self.notes.execute(query(self.notes, "emit"))
        parts = self._summed()
        faults.point("reconcile summed")
        for group in groups(parts, self.options.group):
            self._settle(group)
            if self.options.share >= 1:
                self._repair()
        self._repair()

    @contextmanager
    def _moment(self) -> Iterator[Moment]:
        with moment(self.conn, self.options.wait) as at:
            self.report.scans += 1
            self.report.stamp = at.stamp
            if self.side.reached is not None:
                caught_up(self.notes, at.upto, self.side.reached, self.options.wait)
            yield at

    def _open(self, shapes: Iterable[Shape]) -> None:
        """Open the sink where it has not seen these shapes; to read only, unless it is to be repaired."""
        new = set(shapes)
        if new - self._opened or not new:
            self._opened |= new
            ready = self.side.sink.open if self.options.repair else self.side.sink.look
            ready(tuple(self._opened))

    def _summed(self) -> dict[int, int]:
        """Parts that differ, with their rows."""
        with self._moment() as at, self._source.mapper(at) as made:
            self._open(made.shapes)
            wanted, stored = self._by_sql(at, made) or self._by_rows(at, made)
            for name in self.side.sink.foreign(made.shapes) if isinstance(self.side.sink, Shared) else ():
                self.report.strange(name)
        self.report.rows, self.report.stored = (sum(p.rows for p in parts.values()) for parts in (wanted, stored))
        return unequal(wanted, stored)

    def _by_rows(self, at: Moment, made: Mappings) -> tuple[Parts, Parts]:
        wanted = summed(((r.shape, r.key, r.values) for r in self._paced(self._source.rows(at, made))), self.options.fan)
        rows = ((shape, s.key, s.values) for shape in made.shapes for s in self._paced(self.side.sink.read(shape, None, None)))
        return wanted, summed(rows, self.options.fan)

    def _by_sql(self, at: Moment, made: Mappings) -> tuple[Parts, Parts] | None:
        """The same by SQL on both servers at once; None where it cannot be said in SQL."""
        sides = self._digests(made)
        if sides is None:
            return None
        self._parted = True
        with ThreadPoolExecutor(1) as beside:
            there = beside.submit(sides[1].summed, self.options.fan)
            here = sides[0].summed(at.conn, self.options.fan)
            return here, there.result()

    def _digests(self, made: Mappings) -> tuple[reconcile_sql.Digests, reconcile_sql.There] | None:
        sink, table, mapping = self.side.sink, self._source.table, self.side.mapping
        if self.options.rate or len(made.shapes) != 1:
            return None
        (shape,) = made.shapes
        if isinstance(sink, reconcile_texts.Hashing):
            return reconcile_texts.sides(self.conn, sink, table, mapping, shape)
        if not isinstance(sink, reconcile_sql.Relational) or (wanted := reconcile_sql.of_source(table, mapping, shape)) is None:
            return None
        if self._reader is None or self._reader.closed:
            self._reader = sink.reader()
        return wanted, reconcile_sql.of_copy(self._reader, sink, shape)

    def _settle(self, group: set[int]) -> None:
        """Look at the rows of some parts until each is judged, or has changed too often."""
        keep: Keep = (lambda _: True) if self._parted else inside(group, self.options.fan)  # SQL has parts of its own
        unsure: dict[Placed, Difference] = {}
        for _ in range(self.options.rounds):
            seen = self._look(keep, group)
            certain, unsure = self._judge(seen, unsure)
            for one in certain:
                self._found(seen.at.stamp, one)
            if not unsure:
                return
            keep = unsure.keys().__contains__
        future = [d for d in unsure.values() if d.stored is not None and d.stored.stamp.lsn > seen.at.upto]
        self.report.future += len(future)
        self.report.unsettled += len(unsure) - len(future)

    def _look(self, keep: Keep, group: set[int]) -> _Seen:
        """What both sides have of some keys, at a new moment."""
        with self._moment() as at, self._source.mapper(at) as made:
            self._open(made.shapes)
            sides = self._digests(made)
            here = sides[0].inside(group, self.options.fan) if sides else ""
            wanted = {p: r for r in self._paced(self._source.rows(at, made, here)) if keep(p := placed(r.shape, r.key))}
            stored = {
                p: (shape, s)
                for shape in made.shapes
                for s in self._paced(sides[1].stored(group, self.options.fan) if sides else self.side.sink.read(shape, None, None))
                if keep(p := placed(shape, s.key))
            }
            return _Seen(at, wanted, stored)

    def _judge(self, seen: _Seen, before: dict[Placed, Difference]) -> tuple[list[Difference], dict[Placed, Difference]]:
        """What differs for certain, and what may be a change on its way."""
        certain, unsure = [], {}
        for one in compared(seen.wanted, seen.stored):
            at = placed(one.shape, one.key)
            if one.stored is not None:
                sure = one.stored.stamp < seen.at.stamp
            else:
                last = before.get(at)
                sure = self.side.reached is None or (
                    last is not None and last.stored is None and last.wanted is not None and one.wanted is not None
                    and last.wanted.values == one.wanted.values
                )  # fmt: skip
            if sure:
                certain.append(one)
            else:
                unsure[at] = one
        return certain, unsure

    def _found(self, stamp: Stamp, one: Difference) -> None:
        self.report.add(one)
        if not self.options.repair:
            return
        most = max(FEW, self.options.share * max(self.report.rows, self.report.stored))
        if self.options.share < 1 and self.report.found > most:
            raise RefusedError(
                f"more than {most:.0f} rows of {self.report.table} differ in sink {self.side.name} ({self.report.rows} should be there,"
                f" {self.report.stored} are), which is no damage of single rows, so nothing was written",
                hint="pgcharter sync reconcile --report says what differs; --repair --all repairs it nevertheless",
            )
        self._pending.append((stamp, one))

    def _repair(self) -> None:
        """Write what was found."""
        if not self._pending:
            return
        faults.point("reconcile found")
        flush(self.notes)  # what was seen must not be undone by a crash of the source
        log = self._log()
        for n in range(0, len(self._pending), self.options.batch):
            some = self._pending[n : n + self.options.batch]
            differences = [one for _, one in some]
            ids = log.begin(differences) if log else []
            faults.point("reconcile logged")
            self._write(some)
            faults.point("reconcile written")
            if log:
                log.end(ids, differences)
            faults.point("reconcile noted")
            self.report.repaired += len(some)
        self._pending.clear()

    def _write(self, some: Iterable[tuple[Stamp, Difference]]) -> None:
        """Repairs in one write. The sink is opened anew, so that it knows what was deleted meanwhile and how far the stream is; the worker
        may do so at the same time and shut us out."""
        rows = [_row(stamp, one) for stamp, one in some]
        shapes = tuple(dict.fromkeys(r.shape for r in rows))
        for left in reversed(range(_TRIES)):
            try:
                kept = self.side.sink.open(shapes)
                self.side.sink.write(rows, kept or Stamp(0, 0))
                return
            except SinkDownError:
                if not left:
                    raise
                time.sleep(0.05 * (_TRIES - left))

    def _log(self) -> Log | None:
        if not self.side.logged:
            return None
        return Log(self.notes, self.report.run, self.side.slot, self.side.name, f"{self.side.mapping.table} → {self.side.mapping.to}")

    def _paced(self, rows: Iterable[T]) -> Iterator[T]:
        """The same rows, no faster than wanted."""
        if not self.options.rate:
            yield from rows
            return
        for row in rows:
            self._read += 1
            if self._read % 100 == 0:
                time.sleep(max(0.0, self._since + self._read / self.options.rate - time.monotonic()))
            yield row


def _row(stamp: Stamp, one: Difference) -> Row:
    if one.wanted is not None:
        return one.wanted._replace(stamp=stamp)
    return Row(one.shape, "delete", one.key, {}, stamp)
