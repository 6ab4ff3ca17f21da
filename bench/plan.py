"""From one catalog of 5,000 tables to another: nothing to do, a few hundred changes, and everything from nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from bench.generate import TABLES, generate

LIMIT_SECONDS = 2.0
ROUNDS = 3


def run(tables: int = TABLES) -> None:
    """Read the generated database twice, change one reading, and time the way between them."""
    from pgcharter.catalog.model import Catalog
    from pgcharter.plan import diff
    from pgcharter.servers import binaries, lifecycle
    from pgcharter.sources import live

    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        generate(server.dsn(), tables)
        a, b = live.read(server.dsn()).catalog, live.read(server.dsn()).catalog
    assert a is not None
    assert b is not None
    cases: dict[str, tuple[Catalog, Catalog]] = {
        "nothing to do": (a, b),
        "one table in twenty changed": (a, _changed(b)),
        "everything from nothing": (Catalog(a.server_version), b),
    }
    for name, (one, other) in cases.items():
        seconds, count = min(
            _timed(lambda one=one, other=other: len(diff.operations(_fresh(one), _fresh(other)).operations)) for _ in range(ROUNDS)
        )
        print(f"{name:30}{seconds:>8.2f} s   {count:>7,} operations   aim: ≤ {LIMIT_SECONDS} s")


def _fresh(catalog: object) -> object:
    """The same catalog without what it has worked out before."""
    return replace(catalog)  # type: ignore[type-var]


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    start = time.perf_counter()
    count = work()
    return time.perf_counter() - start, count


def _changed(catalog: object) -> object:
    """Every twentieth table with another type, another default, one index less and another comment."""
    from pgcharter.catalog.model import Catalog, DataType, Table

    assert isinstance(catalog, Catalog)

    def other(table: Table) -> Table:
        columns = tuple(
            replace(c, type=DataType("text", name="text")) if c.name == "name" else replace(c, default="1") if c.name == "amount" else c
            for c in table.columns
        )
        return replace(table, columns=columns, comment="changed", indexes=tuple(i for i in table.indexes if i.constraint or i.predicate))

    return replace(catalog, tables=tuple(other(t) if n % 20 == 0 else t for n, t in enumerate(catalog.tables)))
