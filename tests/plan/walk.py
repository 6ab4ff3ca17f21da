"""Plans on real servers: built, run as a runner would, looked at while they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.compare import describe
from pgcharter.catalog.model import Catalog
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
