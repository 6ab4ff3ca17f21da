"""The outbox beside pgqueuer, in turn in one run: messages drained in a second, and the time from publishing to delivery.

`python -m bench.outbox [messages]`. Every message is a call of a function that does nothing: functions with `Relay`, coroutine functions
with `AsyncRelay` and pgqueuer. Medians of three rounds. Client and server share one core; synchronous_commit is on, fsync as printed.
pgqueuer drains with batches of 500 and is timed to its last job, without its end.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from bench._cores import one_core
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.feeds_model import FeedSettings
from pgcharter.runtime.outbox import Outgoing, publish, publish_many, wakes
from pgcharter.runtime.outbox_relay import AsyncRelay, Relay, Route
from pgcharter.runtime.targets import AsyncCall, Call
from pgcharter.servers import binaries, lifecycle

MESSAGES, ROUNDS, PACED, PAUSE = 20_000, 3, 200, 0.01


def run(messages: int = MESSAGES) -> None:
    """Measure all and print a table."""
    logging.disable(logging.WARNING)
    with one_core(), lifecycle.start_ephemeral(binaries.choose(None), settings={"synchronous_commit": True}) as server:
        dsn = server.dsn()
        _install(dsn)
        drains: dict[str, Callable[[str, int], float]] = {"pgcharter Relay": _relay, "pgcharter AsyncRelay": _async_relay}
        waits: dict[str, Callable[[str], list[float]]] = {
            "pgcharter Relay, listening": _relay_times,
            "pgcharter Relay, polling": _polling_times,
        }
        try:
            import pgqueuer  # noqa: F401
        except ImportError:
            print("pgqueuer is not installed, so it is left out")
        else:
            drivers = [d for d in ("asyncpg", "psycopg") if _there(d)]
            drains |= {f"pgqueuer, {d}": lambda dsn, n, d=d: asyncio.run(_queue(dsn, n, d)) for d in drivers}
            waits |= {f"pgqueuer, {d}": lambda dsn, d=d: asyncio.run(_queue_times(dsn, d)) for d in drivers}
        rates: dict[str, list[float]] = {name: [] for name in drains}
        times: dict[str, list[float]] = {name: [] for name in waits}
        for _ in range(ROUNDS):
            for name, drain in drains.items():
                rates[name].append(messages / drain(dsn, messages))
            for name, wait in waits.items():
                times[name] += wait(dsn)
        with psycopg.connect(dsn) as conn:
            said = conn.execute("SELECT current_setting('synchronous_commit'), current_setting('fsync'), version()").fetchall()[0]
        _report(rates, times, said)


def _report(rates: dict[str, list[float]], times: dict[str, list[float]], said: tuple[Any, ...]) -> None:
    base = {n: statistics.median(r) for n, r in rates.items()}
    best = max((r for n, r in base.items() if n.startswith("pgqueuer")), default=None)
    print(f"synchronous_commit {said[0]}, fsync {said[1]}, {said[2].split(' on ')[0]}\n")
    for name, rate in base.items():
        print(f"{name:<28} {rate:>9,.0f} messages/s" + (f"  {rate / best:5.2f} x the better pgqueuer" if best else ""))
    print()
    for name, some in times.items():
        p50, p99 = statistics.median(some) * 1e3, statistics.quantiles(some, n=100)[98] * 1e3
        print(f"{name:<28} p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  from before publishing to delivery")


def _install(dsn: str) -> None:
    planned = planning.make(Wish("", dsn, chosen=Chosen((messaging.policy(MessagingSection(parts=("outbox",))),)), prove=False))
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in planned.plan.steps:
            conn.execute(step.sql.encode())


def _fill(db: Database, messages: int) -> None:
    for first in range(0, messages, 1000):
        some = [Outgoing("bench", {"n": n, "text": "x" * 50}, key=n % 1000) for n in range(first, min(first + 1000, messages))]
        db.run(lambda work, some=some: publish_many(work.conn, some))


def _relay(dsn: str, messages: int) -> float:
    with Database(dsn) as db:
        relay = Relay(db, [Route("bench", Call(lambda _m: None))])
        relay.catch_up()
        _fill(db, messages)
        began = time.perf_counter()
        assert relay.catch_up() == messages
        return time.perf_counter() - began


def _async_relay(dsn: str, messages: int) -> float:
    async def nothing(_message: Any) -> None:
        pass

    async def drain() -> float:
        async with AsyncDatabase(dsn) as db:
            began = time.perf_counter()
            assert await AsyncRelay(db, [Route("bench", AsyncCall(nothing))]).catch_up() == messages
            return time.perf_counter() - began

    with Database(dsn) as db:
        Relay(db, [Route("bench", Call(lambda _m: None))]).catch_up()
        _fill(db, messages)
    return asyncio.run(drain())


def _relay_times(dsn: str, listen: bool = True) -> list[float]:
    times: list[float] = []
    with Database(dsn) as db:
        waker = wakes(db) if listen else None
        Relay(db, [Route("times", Call(lambda _m: None))]).catch_up()
        call = Call(lambda m: times.append(time.perf_counter() - m.payload))
        relay = Relay(db, [Route("times", call, settings=FeedSettings(listen=listen))])
        thread = threading.Thread(target=relay.run)
        thread.start()
        time.sleep(0.3)
        for _ in range(PACED):
            db.run(lambda work: publish(work.conn, "times", time.perf_counter(), key=str(uuid.uuid4())))
            time.sleep(PAUSE)
        while len(times) < PACED:
            time.sleep(0.05)
        relay.stop()
        thread.join()
        if waker is not None:
            waker.close()
    return times


def _polling_times(dsn: str) -> list[float]:
    return _relay_times(dsn, listen=False)


def _there(driver: str) -> bool:
    try:
        __import__(driver)
    except ImportError:
        return False
    return True


async def _driver(dsn: str, driver: str) -> tuple[Any, Any]:
    from pgqueuer.db import AsyncpgDriver, PsycopgDriver

    if driver == "asyncpg":
        import asyncpg

        conn = await asyncpg.connect(dsn)
        return AsyncpgDriver(conn), conn
    made = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    return PsycopgDriver(made), made


async def _queue(dsn: str, messages: int, driver: str) -> float:
    from pgqueuer import PgQueuer
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    used, conn = await _driver(dsn, driver)
    try:
        queries = Queries(used)
        if not await queries.schema_is_installed():
            await queries.install()
        await queries.clear_queue()
        await queries.clear_queue_log()
        body = b'{"n": 1, "text": "' + b"x" * 50 + b'"}'
        for first in range(0, messages, 1000):
            count = min(1000, messages - first)
            await queries.enqueue(["bench"] * count, [body] * count, [0] * count)
        queue, done, last = PgQueuer(used), 0, 0.0

        @queue.entrypoint("bench")
        async def work(_job: Any) -> None:
            nonlocal done, last
            done, last = done + 1, time.perf_counter()

        began = time.perf_counter()
        await queue.run(batch_size=500, mode=QueueExecutionMode.drain)
        assert done == messages, done
        return last - began
    finally:
        await conn.close()


async def _queue_times(dsn: str, driver: str) -> list[float]:
    from pgqueuer import PgQueuer
    from pgqueuer.queries import Queries

    used, conn = await _driver(dsn, driver)
    other, publishing = await _driver(dsn, driver)
    times: list[float] = []
    try:
        queue, queries = PgQueuer(used), Queries(other)
        await queries.clear_queue()

        @queue.entrypoint("times")
        async def work(job: Any) -> None:
            times.append(time.perf_counter() - float(job.payload))

        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0.5)
        for _ in range(PACED):
            await queries.enqueue("times", str(time.perf_counter()).encode())
            await asyncio.sleep(PAUSE)
        while len(times) < PACED:
            await asyncio.sleep(0.05)
        queue.shutdown.set()
        await running
        return times
    finally:
        await conn.close()
        await publishing.close()


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
