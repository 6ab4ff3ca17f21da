"""What routing costs a unit of work that only reads, over the same unit on a `Database` without replicas that points at the same standby.

`python -m bench.routing [units]`. The rows take turns in one process on one core, 50 units at a time, in turning order; printed are the
median and the fastest tenth of a unit, and what they take more. `asked`: for the first read of each connection after a write, the standby
is asked how far it is in the message that begins the unit. Last: a write and a read of it, on the primary alone, and with the read on the
standby.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
from tests.runtime.standby import PRIMARY, caught_up, standby_of

from bench._cores import one_core
from pgcharter.runtime.database import Database
from pgcharter.servers import binaries, lifecycle

UNITS, EACH = 12_000, 50


def run(units: int = UNITS) -> None:
    """Measure and print."""
    with one_core(), lifecycle.start_ephemeral(binaries.choose(None), settings=PRIMARY) as primary, standby_of(primary) as standby:
        with psycopg.connect(primary.dsn()) as conn:
            conn.execute("CREATE TABLE t (id int PRIMARY KEY, value int) WITH (fillfactor = 50); INSERT INTO t VALUES (1, 0)")
        caught_up(primary, standby)
        with Database(standby.dsn()) as plain, Database(primary.dsn()) as alone, Database(primary.dsn(), replicas=(standby.dsn(),)) as db:
            while any(db.router.status().values()):  # type: ignore[union-attr]
                time.sleep(0.01)
            db.run(_write)
            caught_up(primary, standby)
            _reads(units, plain, db)
            _pairs(units // 10, alone, db)


def _read(work: Any) -> Any:
    return work.conn.execute("SELECT value FROM t WHERE id = 1").fetchone()


def _write(work: Any) -> None:
    work.conn.execute("UPDATE t SET value = value + 1 WHERE id = 1")


def _reads(units: int, plain: Database, db: Database) -> None:
    router = db.router
    assert router is not None

    def asked() -> None:
        conn = db.replicas[0].pool._pool[0]  # the one that is lent next
        conn.reached = replace(conn.reached, lsn=0)
        began.append(time.perf_counter())
        db.run(_read, readonly=True)

    began: list[float] = []
    read = partial(plain.run, _read, readonly=True), partial(db.run, _read, readonly=True)
    taken = _measured({"no router": read[0], "routed": read[1], "routed, asked": asked}, units, began)
    for name in taken:
        print(f"{name:24}", "   ".join(_against(taken, name, "no router", share) for share in (0.5, 0.1)))
    print(f"on the standby: {router.counts.replica} of {router.counts.replica + router.counts.primary}")


def _pairs(pairs: int, alone: Database, db: Database) -> None:
    def pair(database: Database) -> None:
        database.run(_write)
        database.run(_read, readonly=True)

    taken = _measured({"write, read there": lambda: pair(alone), "write, read on standby": lambda: pair(db)}, pairs, [])
    for name in taken:
        print(f"{name:24}", "   ".join(_against(taken, name, "write, read there", share) for share in (0.5, 0.1)))


def _against(taken: dict[str, list[float]], name: str, base: str, share: float) -> str:
    """What the share of units that was fastest took at most, and what that is more than the base's."""
    here, there = (sorted(taken[each])[int(len(taken[each]) * share)] * 1e6 for each in (name, base))
    return f"{here:7.1f} µs {here - there:+7.1f} µs {here / there:.2f}×"


def _measured(forms: dict[str, Callable[[], Any]], units: int, since: list[float]) -> dict[str, list[float]]:
    """Seconds of each unit; a form may say in `since` when what is to be measured began."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(units // len(forms) // EACH):
        turn = number % len(forms)
        for name, form in [*forms.items()][turn:] + [*forms.items()][:turn]:
            for _ in range(EACH):
                since.clear()
                began = time.perf_counter()
                form()
                if number > 5:
                    taken[name].append(time.perf_counter() - (since[0] if since else began))
    return taken


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
