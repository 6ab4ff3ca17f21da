"""The crash matrix of sagas: `python -m tests.runtime.sagas_crash [seconds]`.

A worker's process is killed at every fault point; or stopped there while its connections are cut, or its server is stopped at once and
started again; or stopped until another worker has done its work, and then let go. Orders reserve stock, charge outside and ship; some fail
late and are taken back. Whatever happens: stock and money are conserved, what is transactional has its effect once, and the outside is
asked again only with the key that it was asked with before.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.runtime.sagas_ground import Order, install

from pgcharter import faults
from pgcharter.runtime.database import AsyncDatabase, Database, Timeouts
from pgcharter.runtime.sagas import (
    POINTS,
    AbortError,
    AsyncSagaWorker,
    Context,
    Parallel,
    Retrying,
    Saga,
    SagaSettings,
    SagaWorker,
    Step,
    start,
)
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

COLOURS, ENDS = ("sync", "async"), ("kill", "reset", "immediate", "zombie")
SETTINGS = SagaSettings(concurrency=3, lease=0.6, poll_least=0.005, poll_most=0.02)
PATIENT = Retrying(attempts=200, base=0.02, longest=0.1)
TIMEOUTS = Timeouts(idle=1.0)
"""A worker that is stopped inside a transaction loses it by that; until then it holds what the application has locked in it."""
OURS = ("saga_instances", "saga_steps", "saga_history", "saga_signals")
GOOD, BAD = 2, 2


@dataclass(frozen=True)
class Case:
    point: str
    occurrence: int
    end: str
    colour: str

    def __str__(self) -> str:
        return f"{self.point} ({self.occurrence}), {self.end}, {self.colour}"


CASES = [Case(*each) for each in itertools.product(POINTS, (1, 3), ENDS, COLOURS)]


def order(dsn: str, colour: str) -> Saga[Order]:
    """The order. Its outside world is a table that is written in transactions of its own."""

    def sql(context: Context[Order], *statements: str) -> Any:
        values = {"saga": context.saga_id, "key": context.idempotency, "cents": context.data.cents}
        if context.work is None:
            with psycopg.connect(dsn, autocommit=True) as conn:
                for each in statements:
                    conn.execute(each.encode(), values)
            return None
        if colour == "sync":
            for each in statements:
                context.work.conn.execute(each, values)
            return None
        return _each(context.work.conn, statements, values)

    def charge(context: Context[Order]) -> None:
        sql(context, "INSERT INTO outside VALUES (%(key)s)", "INSERT INTO effects VALUES (%(key)s, %(cents)s) ON CONFLICT DO NOTHING")
        context.data.charge = context.idempotency

    def refund(context: Context[Order]) -> None:
        sql(context, "INSERT INTO outside VALUES (%(key)s)", "INSERT INTO effects VALUES (%(key)s, -%(cents)s) ON CONFLICT DO NOTHING")

    def reserve(context: Context[Order]) -> Any:
        return sql(
            context, "UPDATE stock SET quantity = quantity - 1 WHERE sku = 'a'", "INSERT INTO reserved VALUES (%(saga)s, 'a', 1)"
        )  # fmt: skip

    def release(context: Context[Order]) -> Any:
        gone = "WITH d AS (DELETE FROM reserved WHERE saga = %(saga)s RETURNING quantity)"
        return sql(context, f"{gone} UPDATE stock SET quantity = stock.quantity + d.quantity FROM d WHERE sku = 'a'")

    def pack(context: Context[Order]) -> Any:
        return sql(
            context, "UPDATE money SET cents = cents - 1 WHERE account = 'ann'", "UPDATE money SET cents = cents + 1 WHERE account = 'shop'"
        )

    def unpack(context: Context[Order]) -> Any:
        return sql(
            context, "UPDATE money SET cents = cents + 1 WHERE account = 'ann'", "UPDATE money SET cents = cents - 1 WHERE account = 'shop'"
        )

    def ship(context: Context[Order]) -> Any:
        if context.data.quantity == 13:
            raise AbortError("nobody ships that")
        return sql(context, "INSERT INTO parcels VALUES (%(saga)s)")

    return Saga(
        "order",
        [
            Step("reserve", reserve, undo=release, inside=True, retry=PATIENT),
            Parallel([Step("charge", charge, undo=refund, retry=PATIENT), Step("pack", pack, undo=unpack, inside=True, retry=PATIENT)]),
            Step("charge again", charge, undo=refund, retry=PATIENT),
            Step("ship", ship, inside=True, pivot=True, retry=PATIENT),
        ],
        data=Order,
    )


async def _each(conn: Any, statements: tuple[str, ...], values: dict[str, Any]) -> None:
    for each in statements:
        await conn.execute(each, values)


def child(dsn: str, colour: str) -> None:
    """A worker in a process of its own."""
    saga = order(dsn, colour)
    if colour == "sync":
        with Database(dsn, timeouts=TIMEOUTS) as db:
            SagaWorker(db, [saga], SETTINGS).run(until_idle=True)
    else:
        asyncio.run(_tasks(dsn, saga))


async def _tasks(dsn: str, saga: Saga[Any]) -> None:
    async with AsyncDatabase(dsn, timeouts=TIMEOUTS) as db:
        await AsyncSagaWorker(db, [saga], SETTINGS).run(until_idle=True)


class Ground:
    """A server with the shop on it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        install(server.dsn(), tables=True)

    def rows(self, sql: str) -> list[Any]:
        """Ask; waits for a server that recovers."""
        until = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
                    cursor = conn.execute(sql.encode())
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def begin(self) -> None:
        """Orders anew, some of which cannot be shipped."""
        self.rows("TRUNCATE pgcharter.saga_instances, reserved, parcels, outside, effects CASCADE; UPDATE stock SET quantity = 1000")
        self.rows("UPDATE money SET cents = CASE account WHEN 'ann' THEN 100000 ELSE 0 END")
        saga = order(self.server.dsn(), "sync")
        with psycopg.connect(self.server.dsn()) as conn:
            for n in range(GOOD + BAD):
                start(conn, saga, Order(quantity=13 if n % 2 else 1), key=str(n))

    def act(self, end: str) -> None:
        """Do to the connections of a worker that is stopped what is to be done."""
        if end == "reset":
            others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
            self.rows(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")
        elif end == "immediate":
            process = self.server.process
            assert process is not None
            process.send_signal(signal.SIGQUIT)
            process.wait(20)
            lifecycle.launch(self.server, {**lifecycle.EPHEMERAL, "synchronous_commit": True, "listen_addresses": ""})

    def finish(self, seconds: float = 60) -> None:
        """Have a worker of this process do what is left."""
        until = time.monotonic() + seconds
        with Database(self.server.dsn()) as db:
            while self.rows("SELECT 1 FROM pgcharter.saga_instances WHERE completed_at IS NULL"):
                assert time.monotonic() < until, self.rows("SELECT status, waiting, error, lease_owner FROM pgcharter.saga_instances")
                SagaWorker(db, [order(self.server.dsn(), "sync")], SETTINGS).run(until_idle=True)
                time.sleep(0.02)

    def check(self, case: Case) -> Counter[str]:
        """Raise AssertionError for what must not be; how often the outside was asked twice, and attempts were lost."""
        ended = self.rows("SELECT status, saga_data->>'quantity', count(*) FROM pgcharter.saga_instances GROUP BY 1, 2 ORDER BY 1")
        assert ended == [("completed", "1", GOOD), ("failed", "13", BAD)], f"{case}: {ended}"
        assert self.rows("SELECT quantity + (SELECT sum(quantity) FROM reserved) FROM stock") == [(1000,)], f"{case}: stock"
        for table in ("reserved", "parcels"):
            per = "SELECT i.status, count(r) FROM pgcharter.saga_instances i LEFT JOIN {} r ON r.saga = i.saga_id GROUP BY i.saga_id"
            found = Counter(self.rows(per.format(table)))
            assert found == Counter({("completed", 1): GOOD, ("failed", 0): BAD}), f"{case}: {table} {found}"
        assert self.rows("SELECT cents FROM money ORDER BY account") == [(100_000 - GOOD,), (GOOD,)], f"{case}: money"
        paid = self.rows(
            "SELECT i.status, sum(e.cents) FROM pgcharter.saga_instances i JOIN effects e ON e.key LIKE i.saga_id || '%' GROUP BY i.saga_id"
        )
        assert Counter(paid) == Counter({("completed", 1000): GOOD, ("failed", 0): BAD}), f"{case}: {paid}"
        twice = self.rows("SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) n FROM outside GROUP BY key) x")[0][0]
        assert self.rows("SELECT count(*) FROM outside WHERE key NOT IN (SELECT key FROM effects)") == [(0,)], f"{case}: outside"
        most = {"kill": 3, "reset": 3, "zombie": 6, "immediate": 12}[case.end]  # three sagas at a time, each in one or two outside steps
        assert twice <= most, f"{case}: the outside was asked {twice} times more"
        lost = self.rows("SELECT count(*) FROM pgcharter.saga_history WHERE event = 'lost'")[0][0]
        return Counter({"cases": 1, "asked again": int(twice), "attempts lost": lost})

    def kept(self) -> dict[str, Any]:
        """All that is there of sagas, as it was written, and what the outside was asked: a step that was under way may ask again."""
        tables = (*(f"pgcharter.{n}" for n in OURS), "effects", "reserved", "parcels", "money", "stock")
        found = {t: self.rows(f"SELECT xmin::text, t::text FROM {t} t ORDER BY 2") for t in tables}
        return {**found, "outside": self.rows("SELECT DISTINCT key FROM outside ORDER BY 1")}


@contextmanager
def ground(major: int | None = None) -> Iterator[Ground]:
    """A shop on a server of its own."""
    with lifecycle.start_ephemeral(binaries.choose(major), settings={"synchronous_commit": True}) as server:
        yield Ground(server)


def run(here: Ground, case: Case) -> Counter[str]:
    """Run a case; raises AssertionError for what must not be."""
    here.begin()
    how = "kill" if case.end == "kill" else "stop"
    command = [
        sys.executable,
        "-c",
        "import sys; from tests.runtime import sagas_crash as c; c.child(*sys.argv[1:])",
        here.server.dsn(),
        case.colour,
    ]
    environment = {**os.environ, faults.VARIABLE: f"{case.point}:{case.occurrence}:{how}"}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, stderr=subprocess.PIPE) as process:
        try:
            _, told = os.waitpid(process.pid, os.WUNTRACED)
            if case.end == "kill":
                process.returncode = -signal.SIGKILL
                assert os.WIFSIGNALED(told), f"{case}: it was not killed"
                here.finish()
                return here.check(case)
            assert os.WIFSTOPPED(told), f"{case}: it was not stopped: {process.stderr.read().decode() if process.stderr else ''}"
            here.act(case.end)
            if case.end == "zombie":
                time.sleep(SETTINGS.lease)
                here.finish()
                before = here.kept()
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0, f"{case}: {process.stderr.read().decode() if process.stderr else ''}"
            if case.end == "zombie":
                after = here.kept()
                assert after == before, f"{case}: who had lost its leases has written {[t for t in after if after[t] != before[t]]}"
        finally:
            if process.returncode is None:
                process.kill()
        here.finish()
        return here.check(case)


def main(seconds: float = 1e9) -> int:
    """Run all cases, or those for which there is time; print how many and how they ended."""
    logging.disable(logging.CRITICAL)
    total, wrong, until = Counter[str](), 0, time.monotonic() + seconds
    with ground() as here:
        for case in CASES[::2] + CASES[1::2]:
            if time.monotonic() > until:
                print(f"no more time: {case} is next")  # noqa: T201
                break
            try:
                total += run(here, case) + Counter({case.end: 1})
            except AssertionError as error:
                wrong += 1
                print(f"WRONG  {error}", flush=True)  # noqa: T201
    print(f"{wrong} wrong; " + ", ".join(f"{n} {name}" for name, n in total.items()))  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*(float(a) for a in sys.argv[1:])))
