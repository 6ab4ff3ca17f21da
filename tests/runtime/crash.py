"""The crash matrix: a unit of work that dies at every point in every way. `python -m tests.runtime.crash [seconds]` runs all of it.

Money goes from one account to another, and a line about it into a log. Whatever happens: what is reported as done is there once; what is
reported as failed is not there; hooks after commit run once where it is done, and else never; no connection stays lent.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
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
from tests.runtime.crash_proxy import POINTS, Proxy

from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.outcomes import Retry, UnknownOutcomeError
from pgcharter.runtime.pools import PoolSize
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

COLOURS, WAYS = ("sync", "async"), ("psycopg", "session")
ENDS = ("reset", "terminate", "kill", "immediate")
"""The way is cut; the backend is terminated; it is killed, so that the server recovers; the server is stopped at once and started again."""
SETTINGS = {"synchronous_commit": True, "max_prepared_transactions": 2}
PATIENT = Retry(attempts=50, deadline=60.0, settle=30.0)
STATEMENTS = (
    "UPDATE accounts SET balance = balance - 5 WHERE id = 1",
    "UPDATE accounts SET balance = balance + 5 WHERE id = 2",
    "INSERT INTO moves (number) VALUES ({number})",
)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    point: str
    end: str
    colour: str
    way: str

    def __str__(self) -> str:
        return f"{self.point}, {self.end}, {self.colour}, {self.way}"


CASES = [Case(*each) for each in itertools.product(POINTS, ENDS, COLOURS, WAYS)]
HOOKS = [Case("between hooks", *each) for each in itertools.product(ENDS, COLOURS, WAYS)]


class Bank:
    """A server with money on it, and the proxy before it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.proxy = Proxy(server)
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("DROP TABLE IF EXISTS accounts, moves")
            conn.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL); CREATE TABLE moves (number int NOT NULL)")
            conn.execute("INSERT INTO accounts VALUES (1, 0), (2, 0); CHECKPOINT")

    def act(self, end: str, pid: int) -> None:
        """Do what ends a connection."""
        if end == "terminate":
            with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
                conn.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        elif end == "kill":
            os.kill(pid, signal.SIGKILL)
        elif end == "immediate":
            self.restart()

    def restart(self) -> None:
        """Stop the server at once, without a checkpoint, and start it again."""
        process = self.server.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        lifecycle.launch(self.server, {**lifecycle.EPHEMERAL, **SETTINGS, "listen_addresses": ""})

    def moves(self, number: int) -> int:
        """How often a move was made; waits for a server that recovers. The balances must agree."""
        until = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(self.server.dsn()) as conn:
                    row = conn.execute(
                        "SELECT (SELECT array_agg(balance ORDER BY id) FROM accounts), (SELECT count(*) FROM moves), "
                        "(SELECT count(*) FROM moves WHERE number = %s)",
                        (number,),
                    ).fetchone()
                assert row is not None
                assert row[0] == [-5 * row[1], 5 * row[1]], row
                return int(row[2])
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)


@contextmanager
def bank(major: int | None = None) -> Iterator[Bank]:
    """A bank on a server of its own."""
    with lifecycle.start_ephemeral(binaries.choose(major), settings=SETTINGS) as server:
        made = Bank(server)
        try:
            yield made
        finally:
            made.proxy.__exit__()


def run(bank: Bank, case: Case) -> str:
    """Run one case and say how the unit of work ended; raises AssertionError for what must not be."""
    number, seen = next(_numbers), Counter[str]()
    dsn = bank.proxy.dsn(bank.server.dsn())
    if case.point != "between hooks":
        bank.proxy.arm(case.point, None if case.end == "reset" else lambda pid: bank.act(case.end, pid))
    body = _body(bank, case, number, seen)
    size = PoolSize(1, 2, wait=20.0)
    try:
        if case.colour == "sync":
            with Database(dsn, size=size, retry=PATIENT) as db:
                db.run(lambda work: _sync(body(work)))
                assert db.loans() == ()
        else:
            asyncio.run(_async(dsn, size, body))
        ended = "done"
    except UnknownOutcomeError:
        ended = "unknown"
    except Exception as error:
        ended = f"failed: {type(error).__name__}: {error}"
    fired = case.point == "between hooks" or bank.proxy.fired.wait(5)
    bank.proxy.disarm()
    made = bank.moves(number)
    assert fired, f"{case}: nothing happened"
    assert made == (1 if ended == "done" else made if ended == "unknown" else 0), f"{case}: {ended}, made {made} times"
    assert seen["committed"] == seen["second"] == (1 if ended == "done" else 0), f"{case}: {ended}, hooks {seen}"
    assert seen["tried"] == seen["undone"] + (1 if ended != "failed" else 0) or ended != "done", f"{case}: {seen}"
    return ended


async def _async(dsn: str, size: PoolSize, body: Any) -> None:
    async with AsyncDatabase(dsn, size=size, retry=PATIENT) as db:
        await db.run(body)
        assert db.loans() == ()


def _body(bank: Bank, case: Case, number: int, seen: Counter[str]) -> Any:
    from sqlalchemy import text

    async def body(work: Any) -> None:
        def first() -> None:
            seen["committed"] += 1
            if case.point == "between hooks":
                if case.end == "reset":
                    bank.proxy.cut_all()
                else:
                    with psycopg.connect(bank.server.dsn()) as conn:
                        row = conn.execute("SELECT min(pid) FROM pg_stat_activity WHERE client_addr IS NULL AND state = 'idle'").fetchone()
                    assert row is not None
                    bank.act(case.end, row[0] or 0)

        seen["tried"] += 1
        work.after_commit(first)
        work.after_commit(lambda: seen.update(second=1))
        work.after_rollback(lambda: seen.update(undone=1))
        for statement in STATEMENTS:
            made = statement.format(number=number)
            done = work.conn.execute(made) if case.way == "psycopg" else work.session.execute(text(made))
            if inspect.isawaitable(done):
                await done

    return body


def _sync(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


# the client's process dies

CHILD = """
import asyncio, sys
from tests.runtime import crash
crash.child(*sys.argv[1:])
"""


def child(dsn: str, colour: str, way: str, number: str) -> None:
    """One unit of work in a process of its own, which says so when it is done."""
    case = Case("", "", colour, way)
    body = _body(None, case, int(number), Counter())  # type: ignore[arg-type]
    if colour == "sync":
        with Database(dsn, size=PoolSize(1, 1)) as db:
            db.run(lambda work: _sync(body(work)))
            print("done", flush=True)  # noqa: T201
    else:
        asyncio.run(_async(dsn, PoolSize(1, 1), body))
        print("done", flush=True)  # noqa: T201


def run_child(bank: Bank, case: Case) -> str:
    """The same with the process of the client killed at the point. Gives what came of it; raises AssertionError for what must not be."""
    number, started = next(_numbers), []
    bank.proxy.arm(case.point, lambda _pid: started[0].kill())
    command = [sys.executable, "-c", CHILD, bank.proxy.dsn(bank.server.dsn()), case.colour, case.way, str(number)]
    here = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) as process:
        started.append(process)
        said = process.communicate(timeout=60)[0]
    assert bank.proxy.fired.wait(5), f"{case}: nothing happened"
    bank.proxy.disarm()
    deadline = time.monotonic() + 5
    with psycopg.connect(bank.server.dsn(), autocommit=True) as conn:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        while conn.execute(query).fetchall()[0][0] and time.monotonic() < deadline:
            time.sleep(0.02)
    made = bank.moves(number)
    wanted = {"commit done": (1,), "after commit": (1,), "commit sent": (0, 1)}.get(case.point, (0,))
    assert made in wanted, f"{case}: made {made} times"
    assert "done" not in said or made == 1, f"{case}: said to be done"
    return "killed"


CHILDREN = [Case(point, "client", colour, way) for point, colour, way in itertools.product(POINTS, COLOURS, WAYS)]


def main(seconds: float = 1e9) -> int:
    """Run all cases, or those for which there is time; print how many and how they ended."""
    ends: Counter[str] = Counter()
    until = time.monotonic() + seconds
    failed = 0
    with bank() as made:
        for case in (*CASES, *HOOKS, *CHILDREN):
            if time.monotonic() > until:
                print("no more time")  # noqa: T201
                break
            try:
                ended = run_child(made, case) if case.end == "client" else run(made, case)
            except AssertionError as error:
                failed += 1
                print(f"WRONG  {error}", flush=True)  # noqa: T201
                ended = "wrong"
            if ended not in ("done", "killed", "wrong"):
                print(f"{case}: {ended}", flush=True)  # noqa: T201
            ends[ended] += 1
    print(f"{sum(ends.values())} cases: {', '.join(f'{n} {name}' for name, n in ends.most_common())}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    import logging

    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    sys.exit(main(*(float(a) for a in sys.argv[1:])))
