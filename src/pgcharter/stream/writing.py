"""Changes become rows of one sink: completed where a value is missing, mapped, written. Used by one thread."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TypeVar

import psycopg

from pgcharter import faults
from pgcharter.db import Connection
from pgcharter.errors import ConnectError
from pgcharter.stream import source
from pgcharter.stream.errors import SinkDownError, SinkLostError, SinkOlderError
from pgcharter.stream.mapper import Target
from pgcharter.stream.model import UNCHANGED, Change, Relation, Stamp
from pgcharter.stream.passed import Passed
from pgcharter.stream.replication import lsn_text

POINTS = (
    "sync received", "sync offered", "sync confirmed", "sync spilled", "sync writing", "sync written", "sync checkpointed",
    "sync chunk read", "sync chunk written", "sync seeded",
)  # fmt: skip
"""Fault points of copying."""
UNSEEN = 10.0
"""Seconds for which a commit that was decoded is waited for until others see it."""
T = TypeVar("T")


@contextmanager
def sparing() -> Iterator[None]:
    """Look for garbage in cycles seldom meanwhile: rows are in none, and to look at each of them takes a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(before[0] and max(before[0], 100_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Writing:
    """A sink with its mapper, and what is known of their tables."""

    def __init__(self, target: Target, dsn: str, passed: Passed | None = None) -> None:
        self.target, self._passed = target, passed
        self.seeding: set[str] = set()
        """Tables that are being seeded, as SQL: their rows must come whole. Another thread may add to it."""
        self.rows = 0
        """Rows written since the beginning."""
        self.had: Stamp | None = None
        """What the sink must have at least, where it keeps stamps; None: nothing was written to it yet."""
        self._dsn = dsn
        self._source: Connection | None = None
        self._relations: dict[int, Relation] = {}
        self._whole: dict[int, bool] = {}
        self._cleared: dict[int, Stamp] = {}

    def open(self, relations: Sequence[Relation]) -> Stamp | None:
        """Connect to the sink with the shapes of tables as they are; gives back the stamp that it keeps. Raises SinkLostError."""
        for relation in relations:
            self._see(relation)
        return self._opened()

    def _opened(self) -> Stamp | None:
        stamp, had = self.target.sink.open(self.target.mapper.shapes), self.had
        if had is None or not self.target.sink.keeps:
            return stamp
        if stamp is None:
            raise SinkLostError(f"the store of sink {self.target.name} has nothing any more of what was written to it")
        if stamp < had:
            there, before = (f"{lsn_text(s.lsn)} {s.ordinal}" for s in (stamp, had))
            raise SinkOlderError(
                f"the store of sink {self.target.name} is at {there} and was at {before}: it was set back to an older copy, or has lost"
                " what was written last", stamp,
            )  # fmt: skip
        return stamp

    def _see(self, relation: Relation) -> bool:
        """Note a relation, and say whether rows look otherwise from now on."""
        if self._relations.get(relation.oid) is relation:
            return False
        changed = self.target.mapper.relation(relation)
        self._relations[relation.oid] = relation
        self._whole[relation.oid] = self.target.sink.whole or self.target.mapper.whole(relation)
        return changed

    def write(self, changes: Sequence[Change], upto: Stamp, *, chunk: bool = False) -> None:
        """Have changes become durable in the sink. Those of a chunk are rows of a seed, all of one table."""
        faults.point("sync writing")
        before = 0
        for i in [*self._turns(changes), len(changes)]:
            part = changes[before:i]
            last = i == len(changes)
            if part or last:
                self._part(part, upto if last or not part else part[-1].stamp, chunk=chunk)
            if not last and self._see(changes[i].relation):
                self._opened()
            before = i
        faults.point("sync written")

    def _turns(self, changes: Sequence[Change]) -> Iterator[int]:
        """Where a change has a relation that is another than before."""
        seen: dict[int, Relation] = {}
        last: Relation | None = None
        for i, change in enumerate(changes):
            relation = change.relation
            if relation is last:
                continue
            last = relation
            if seen.get(relation.oid, self._relations.get(relation.oid)) is not relation:
                seen[relation.oid] = relation
                yield i

    def _part(self, changes: Sequence[Change], upto: Stamp, *, chunk: bool) -> None:
        if self._passed is not None and any(map(self.target.mapper.asks, {c.relation.oid: c.relation for c in changes}.values())):
            self._asked(lambda _: None)
        rows = self.target.mapper.rows(self._later(changes) if chunk else self._complete(changes))
        self.target.sink.write(rows, upto)
        self.had = upto if self.had is None else max(self.had, upto)
        self.rows += len(rows)

    def _later(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Rows of a seed without those that a TRUNCATE has overtaken."""
        return [c for c in changes if c.stamp >= self._cleared.get(c.relation.oid, c.stamp)] if self._cleared else changes

    def _complete(self, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes with all values, where they must have them."""
        missing: list[int] = []
        for i, change in enumerate(changes):
            if change.op == "truncate":
                self._cleared[change.relation.oid] = change.stamp
            elif change.op == "update" and change.new is not None and UNCHANGED in change.new and self._must(change):
                missing.append(i)
        if not missing:
            return changes
        made: list[Change | None] = list(changes)
        for _, group in groupby(missing, key=lambda i: id(changes[i].relation)):
            at = list(group)
            for k, found in self._read(changes[at[0]].relation, [changes[i] for i in at]).items():
                made[at[k]] = found or self._gone(changes[at[k]])
        return [c for c in made if c is not None]

    def _must(self, change: Change) -> bool:
        relation = change.relation
        return change.old is not None or self._whole.get(relation.oid, True) or source.sql_of(relation) in self.seeding

    def _gone(self, change: Change) -> Change | None:
        """What is left of a change whose row is gone meanwhile: its old key is; that of the new one follows in the stream."""
        return change._replace(op="delete", new=None) if change.old is not None else None

    def _read(self, relation: Relation, changes: Sequence[Change]) -> dict[int, Change | None]:
        try:
            return self._asked(lambda conn: source.completed(conn, relation, changes))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            return dict.fromkeys(range(len(changes)))

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        """What the source says, once it shows all that its stream has brought. Raises ConnectError, SinkDownError."""
        try:
            if self._source is None:
                self._source = source.open_source(self._dsn)
            self._shown(self._source)
            return ask(self._source)
        except (psycopg.OperationalError, ConnectError) as error:
            self._source = None
            raise ConnectError(f"the source was lost while rows were read anew: {error}") from None

    def _shown(self, conn: Connection) -> None:
        until = time.monotonic() + UNSEEN
        while self._passed is not None and (xid := self._passed.unseen(*source.shown(conn))) is not None:
            if time.monotonic() > until:
                raise SinkDownError(
                    f"the source does not show transaction {xid} yet, which is committed: it waits for a synchronous standby",
                    hint="SELECT * FROM pg_stat_replication",
                )
            time.sleep(0.005)

    def clear(self, relation: Relation, began: Stamp, upto: Stamp) -> None:
        """Have rows of a table go that are older than its seed."""
        self._see(relation)
        self.target.sink.write(self.target.mapper.rows([Change(relation, "truncate", None, None, began)]), upto)

    def close(self) -> None:
        """Let go of the sink and the source."""
        self.target.sink.close()
        self.target.mapper.close()
        if self._source is not None:
            self._source.close()
            self._source = None
