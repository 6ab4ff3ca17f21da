"""Plans on real servers: built, run as a runner would, looked at while they run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.catalog.compare import describe
from pgcharter.catalog.effect import Mode
from pgcharter.catalog.model import Catalog
from pgcharter.names import ObjectId
from pgcharter.plan.diff import differences
from pgcharter.plan.model import Plan, Step
from pgcharter.sources.live import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Runner:
    """Runs the steps of a plan: in autocommit what stands in no transaction, the rest in the transactions of the plan."""

    conn: psycopg.Connection[tuple[object, ...]]
    done: list[str] = field(default_factory=list)

    def run(self, steps: tuple[Step, ...]) -> None:
        for block in Plan(steps).blocks():
            if block[0].block == 0:
                self.one(block[0])
                continue
            with self.conn.transaction():
                for step in block:
                    self.one(step)

    def one(self, step: Step) -> None:
        if step.gate:
            return
        try:
            self.conn.execute(step.sql.encode())
        except psycopg.Error as error:
            raise AssertionError(f"{step.sql}: {error}\nafter:\n" + ";\n".join(self.done)) from error
        self.done.append(step.sql)


_LOCKS = """
SELECT n.nspname::text, c.relname::text, l.mode FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE l.pid = pg_catalog.pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p', 'm') AND n.nspname NOT LIKE 'pg\\_%'
"""


@dataclass
class Observed(Runner):
    """A runner that looks at the locks after each step of a transaction: what stops writers of a table in use must have been foretold."""

    before: Catalog = field(default_factory=Catalog)
    foretold: set[tuple[str, str]] = field(default_factory=set)

    def one(self, step: Step) -> None:
        super().one(step)
        if not step.block:
            return
        self.foretold = {(k.relation.schema, k.relation.name) for k in step.effect.locks if k.mode.stops_writes} | (
            self.foretold if self.conn.info.transaction_status == TransactionStatus.INTRANS else set()
        )
        held = {(str(s), str(n)) for s, n, mode in self.conn.execute(_LOCKS).fetchall() if Mode[_name(str(mode))].stops_writes}
        unforeseen = {x for x in held - self.foretold if ObjectId("table", *x) in self.before.table}
        assert not unforeseen, f"{step.sql} locks {unforeseen}, which was not foretold: {step.effect}"


def _name(mode: str) -> str:
    """`AccessExclusiveLock` as our modes are called."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", mode.removesuffix("Lock")).upper()


def left(conn: psycopg.Connection[tuple[object, ...]], wanted: Catalog) -> list[str]:
    """What still differs from the wanted catalog, places of columns aside."""
    return [describe(d) for d in differences(read_catalog(conn), wanted)]


def told(steps: tuple[Step, ...]) -> Iterator[str]:
    """A plan as its accepted text: one line a step, and what follows from it."""
    for step in steps:
        if step.gate:
            yield f"-- wait until {step.gate}"
            continue
        mark = f"[{step.block}]" if step.block else "[-]"
        yield f"{mark} {step.phase}{' backfill' if step.backfill else ''}: {step.title}"
        yield from (f"    {line}" for line in step.sql.splitlines())
        if step.loses:
            yield f"    -- {step.grade}: {step.loses}"


def waiting(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Steps that read or write rows while their transaction holds a lock on a table in use that stops its readers or writers.

    Forms that no server was asked about are told as their worst likes and say nothing here.
    """
    for block in Plan(steps).blocks():
        held = False
        for step in block:
            filling = step.sql.startswith("CREATE MATERIALIZED VIEW") and not step.sql.endswith("WITH NO DATA")
            if held and step.effect.known and (step.effect.scans or step.effect.rewrites or step.backfill or filling):
                yield step
            held |= any(k.mode.stops_writes and k.relation.kind == "table" for k in step.effect.locks)
