"""Sagas beside DBOS: ten steps one after the other, and a hundred sagas of ten steps at once, in threads and in tasks.

`python -m bench.sagas [sagas at once] [rounds]`. Steps do nothing: what is measured is what it costs to keep them. Forms take turns;
printed are medians of steps in a second. The server is on the same machine by a Unix socket, with fsync off and synchronous_commit as
printed. A step of ours that is "inside" has its checkpoint in the transaction of its work; DBOS keeps a step after it was done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.sagas import AsyncSagaWorker, Saga, SagaSettings, SagaWorker, Step, start
from pgcharter.servers import binaries, lifecycle

AT_ONCE, ROUNDS, STEPS = 100, 3, 10


def run(at_once: int = AT_ONCE, rounds: int = ROUNDS) -> None:
    """Measure all forms and print them."""
    logging.getLogger("dbos").setLevel(logging.ERROR)
    with lifecycle.start_ephemeral(binaries.choose(None), settings={"max_connections": 200}) as server:
        dsn = server.dsn()
        planned = planning.make(Wish("", dsn, chosen=Chosen((messaging.policy(MessagingSection(parts=("sagas",))),)), prove=False))
        with psycopg.connect(dsn, autocommit=True) as conn:
            for step in planned.plan.steps:
                conn.execute(step.sql.encode())
            commit = conn.execute("SHOW synchronous_commit").fetchall()[0][0]
            conn.execute("CREATE DATABASE peer")
        print(f"machine load {os.getloadavg()[0]:.1f}; synchronous_commit {commit}, fsync off; {os.cpu_count()} cores")
        forms = {**_ours(dsn, at_once), **_peer(server.dsn("peer"), at_once)}
        found_: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, form in forms.items():
                steps, seconds = form()
                found_[name].append(steps / seconds)
        rates = {name: statistics.median(r) for name, r in found_.items()}
        for name, rate in rates.items():
            peer = next((r for n, r in rates.items() if n.startswith("DBOS") and n.endswith(name.rpartition(", ")[2])), None)
            print(f"{name:44} {rate:8.0f} steps/s" + (f"   {rate / peer:5.1f}×" if peer else ""))


def _nothing(_context: Any) -> None:
    return None


def _ours(dsn: str, at_once: int) -> dict[str, Callable[[], tuple[int, float]]]:
    plain = Saga("plain", [Step(f"s{i}", _nothing) for i in range(STEPS)])
    inside = Saga("inside", [Step(f"s{i}", _nothing, inside=True) for i in range(STEPS)])
    settings = SagaSettings(concurrency=at_once, poll_least=0.001, poll_most=0.002)

    async def nothing(_context: Any) -> None:
        return None

    tasks = Saga("tasks", [Step(f"s{i}", nothing) for i in range(STEPS)])

    def threads(saga: Saga[Any], many: int, rounds: int) -> tuple[int, float]:
        with Database(dsn) as db:
            done = threading.Semaphore(0)
            few = SagaSettings(concurrency=min(many, 64), poll_least=0.001, poll_most=0.002)
            worker = SagaWorker(db, [saga], few, on_end=lambda _: done.release())
            thread = threading.Thread(target=worker.run)
            thread.start()
            began = time.perf_counter()
            for _ in range(rounds):
                db.run(lambda w: [start(w.conn, saga, {}) for _ in range(many)])
                worker.wake()
                for _ in range(many):
                    done.acquire()
            took = time.perf_counter() - began
            worker.stop()
            thread.join()
        return many * rounds * STEPS, took

    async def in_tasks(many: int, rounds: int) -> tuple[int, float]:
        async with AsyncDatabase(dsn) as db:
            done = asyncio.Semaphore(0)
            worker = AsyncSagaWorker(db, [tasks], settings, on_end=lambda _: done.release())
            running = asyncio.create_task(worker.run())
            began = time.perf_counter()
            for _ in range(rounds):

                async def begin(work: Any) -> None:
                    for _ in range(many):
                        await start.aio(work.conn, tasks, {})

                await db.run(begin)
                worker.wake()
                for _ in range(many):
                    await done.acquire()
            took = time.perf_counter() - began
            worker.stop()
            await running
        return many * rounds * STEPS, took

    return {
        "threads, one after the other": lambda: threads(plain, 1, 30),
        "threads, inside, one after the other": lambda: threads(inside, 1, 20),
        "tasks, one after the other": lambda: asyncio.run(in_tasks(1, 30)),
        f"threads, {at_once} at once": lambda: threads(plain, at_once, 2),
        f"tasks, {at_once} at once": lambda: asyncio.run(in_tasks(at_once, 3)),
    }


def _peer(dsn: str, at_once: int) -> dict[str, Callable[[], tuple[int, float]]]:
    try:
        from dbos import DBOS, DBOSConfig
    except ImportError:
        print("dbos is not installed: nothing to compare with")
        return {}
    url = f"postgresql://{dsn.partition('://')[2]}"
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "run_admin_server": False, "log_level": "ERROR"}
    DBOS(config=config)

    @DBOS.step()
    def step() -> None:
        return None

    @DBOS.workflow()
    def workflow() -> None:
        for _ in range(STEPS):
            step()

    DBOS.launch()

    def sequential() -> tuple[int, float]:
        began = time.perf_counter()
        for _ in range(10):
            workflow()
        return 10 * STEPS, time.perf_counter() - began

    def together() -> tuple[int, float]:
        began = time.perf_counter()
        handles = [DBOS.start_workflow(workflow) for _ in range(at_once)]
        for handle in handles:
            handle.get_result()
        return at_once * STEPS, time.perf_counter() - began

    return {"DBOS, one after the other": sequential, f"DBOS, {at_once} at once": together}


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
    os._exit(0)  # its threads go on
