"""What isolation of a test costs: server, migrated template, clone, rollback, made-up row; beside pytest-postgresql where it is installed.

`python -m bench.testing_tiers [rounds]`, 30 unless said. The schema is the shop's. pytest-postgresql clones a template for every test by
its DatabaseJanitor, on the same server, in turn with ours; it has no tier that rolls back.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from pgcharter.testing import project, schemas, servers
from pgcharter.testing.factories import Make
from pgcharter.testing.sessions import Run, Shared, session

SHOP = Path(str(files("pgcharter.examples.shop")))


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def run(rounds: int = 30) -> None:
    """Print the table."""
    with ExitStack() as stack:
        began = time.perf_counter()
        server = stack.enter_context(servers.embedded())
        started = (time.perf_counter() - began) * 1000
        began = time.perf_counter()
        made = Run(server, "", lambda dsn: schemas.install(None, dsn, project.read(SHOP), SHOP))
        stack.callback(made.close)
        migrated = (time.perf_counter() - began) * 1000
        shared = Shared(made.databases, strict=False)
        stack.callback(shared.close)
        tiers = _tiers(made, shared)
        peer = _peer(made)
        if peer:
            tiers["pytest-postgresql: clone, connect, drop"] = peer
        taken: dict[str, list[float]] = {name: [] for name in tiers}
        for _ in range(rounds + 3):
            for name, work in tiers.items():
                taken[name].append(timed(work))
        print(f"{'server started':44} {started:9.1f} ms\n{'template: ' + made.told:44} {migrated:9.1f} ms")
        for name, times in taken.items():
            print(f"{name:44} {median(times[3:]):9.2f} ms")
        if not peer:
            print("pytest-postgresql is not installed here")


def _tiers(made: Run, shared: Shared) -> dict[str, Callable[[], object]]:
    def clone() -> None:
        with made.clone() as one, psycopg.connect(one.dsn) as conn:
            conn.execute("SELECT 1")

    def rolled_back() -> None:
        with shared.rolled_back() as conn:
            conn.execute("SELECT 1")

    def by_session() -> None:
        from sqlalchemy import text

        with shared.rolled_back(), session(shared, "bench") as one:
            one.execute(text("SELECT 1"))

    def row() -> None:
        with shared.rolled_back() as conn:
            Make(conn, shared.recipes)("sales.orders")

    return {
        "clone, connect, drop": clone,
        "pg_conn: roll back": rolled_back,
        "pg_session: roll back": by_session,
        "an order with its parents": row,
    }


def _peer(made: Run) -> Callable[[], object] | None:
    try:
        from pytest_postgresql.janitor import DatabaseJanitor
    except ImportError:
        return None
    parts: Any = psycopg.conninfo.conninfo_to_dict(made.server.dsn)
    template = made.databases.template

    @contextmanager
    def cloned() -> Iterator[psycopg.Connection]:
        where = {"user": parts["user"], "host": parts["host"], "port": parts["port"], "password": parts["password"]}
        with DatabaseJanitor(**where, dbname="peer", template_dbname=template), psycopg.connect(**where, dbname="peer") as conn:
            yield conn

    def work() -> None:
        with cloned() as conn:
            conn.execute("SELECT 1")

    return work


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
