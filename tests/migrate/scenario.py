"""A long migration with everything the runner knows, and how to run it in a process of its own that may die."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pgcharter import faults
from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.errors import PgcharterError
from pgcharter.migrate import runner
from pgcharter.migrate.endings import Outcome
from pgcharter.migrate.ledger import Direction
from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.terms import Pace, Terms
from pgcharter.names import ObjectId
from pgcharter.plan.model import Backfill
from pgcharter.sources.live import read_catalog

ROWS = 900


def unit(*statements: str, alone: bool = False) -> Unit:
    return Unit(statements, transactional=not alone)


def filled(table: ObjectId, key: tuple[str, ...], assignments: str, condition: str) -> Unit:
    job = Backfill(table, key, assignments, condition)
    return Unit((job.sql(),), backfill=job)


def migration(version: str, *units: Unit, down: tuple[Unit, ...] | None = None, **more: object) -> Migration:
    text = ";\n".join(s for u in units for s in u.statements)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(version, f"step_{version}", text=text, checksum=checksum, up=units, down=down, file=f"{version}.sql", **more)  # type: ignore[arg-type]


ITEMS = ObjectId("table", "Shop ü", "Items")
SCENARIO = (
    migration(
        "001",
        unit(
            'CREATE SCHEMA "Shop ü"',
            """CREATE TABLE "Shop ü"."Items" ("Key" int NOT NULL, part text NOT NULL, n int, PRIMARY KEY ("Key", part))""",
            f"""INSERT INTO "Shop ü"."Items" SELECT i / 3, (i % 3)::text, NULL FROM generate_series(1, {ROWS}) i""",
            "CREATE TYPE public.mood AS ENUM ('sad', 'ok')",
            "CREATE TABLE public.parts (id int NOT NULL, at date NOT NULL) PARTITION BY RANGE (at)",
            "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
            "CREATE TABLE public.log (what text)",
        ),
    ),
    migration(
        "002",
        unit('SET search_path = "Shop ü", public'),
        unit('CREATE INDEX CONCURRENTLY items_n_idx ON "Items" (n)', alone=True),
        unit('ALTER TABLE "Items" ADD COLUMN total int', "INSERT INTO log VALUES ('expanded')"),
        filled(ITEMS, ("Key", "part"), 'total = "Key" * 2 + coalesce(total, 0)', "total IS NULL"),
        unit('CREATE INDEX CONCURRENTLY ON "Items" (total, n) WHERE total > 0', alone=True),
        unit("ALTER TYPE mood ADD VALUE 'good'", alone=True),
        unit('REINDEX TABLE CONCURRENTLY "Items"', alone=True),
        unit("DROP INDEX CONCURRENTLY items_n_idx", alone=True),
        unit("ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY", alone=True),
        unit("INSERT INTO log VALUES ('contracted')", 'ALTER TABLE "Items" ALTER total SET NOT NULL'),
        unit('VACUUM "Items"', alone=True),
    ),
    migration("003", unit("CREATE TABLE public.last (id int PRIMARY KEY)", "INSERT INTO public.log VALUES ('last')")),
)
PACE = Pace(first=150, largest=300, every=60)
TERMS = Terms(pace=PACE, lock_timeout=1.0, deadline=20, wait=20)
USUAL: Mapping[str, Any] = {}
"""What a run's terms have else than `TERMS`."""


SLOW = (migration("001", unit("CREATE TABLE slow ()", "SELECT pg_sleep(60)")),)


def run(
    dsn: str, fault: str = "", migrations: tuple[Migration, ...] = SCENARIO, terms: Mapping[str, Any] = USUAL, direction: Direction = "up"
) -> None:
    """Apply migrations here; end with 0 only when all is done."""
    if fault:
        os.environ[faults.VARIABLE] = fault
    try:
        outcome = runner.apply(dsn, migrations, terms=replace(TERMS, **terms), direction=direction)
    except PgcharterError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        raise SystemExit(3) from None
    raise SystemExit(0 if outcome.status == "done" else 10)


def process(
    dsn: str, fault: str = "", migrations: tuple[Migration, ...] = SCENARIO, terms: Mapping[str, Any] = USUAL, direction: Direction = "up"
) -> BaseProcess:
    """Start `run` in a process that has no threads and shares nothing with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    started = context.Process(target=run, args=(dsn, fault, migrations, terms, direction))
    started.start()
    return started


@contextlib.contextmanager
def stopped(
    dsn: str, fault: str, migrations: tuple[Migration, ...] = SCENARIO, terms: Mapping[str, Any] = USUAL, direction: Direction = "up"
) -> Iterator[BaseProcess]:
    """A runner that has come to a fault point and stands there."""
    started = process(dsn, f"{fault}:stop", migrations, terms, direction)
    try:
        until = time.monotonic() + 20
        while _state(started.pid) != "T" and started.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        yield started
    finally:
        if started.is_alive():
            os.kill(started.pid or 0, signal.SIGKILL)
        started.join()


def _state(pid: int | None) -> str:
    """The letter that the system has for a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def everything(dsn: str) -> tuple[Catalog, list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The catalog, the rows, and what the ledger says is done."""
    with connect(dsn) as conn:
        rows = conn.execute('SELECT i::text FROM "Shop ü"."Items" i UNION ALL SELECT what FROM public.log ORDER BY 1').fetchall()
        known = conn.execute("SELECT version, outcome, direction FROM pgcharter.schema_migrations ORDER BY run_id").fetchall()
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        return read_catalog(conn), rows, known


def differs(one: tuple[Catalog, object, object], other: tuple[Catalog, object, object]) -> list[object]:
    """What is not the same in the two."""
    found: list[object] = list(compare(one[0], other[0]))
    return found + [(a, b) for a, b in zip(one[1:], other[1:], strict=True) if a != b]


def again(dsn: str) -> Outcome:
    """Apply the scenario here, undisturbed."""
    return runner.apply(dsn, SCENARIO, terms=TERMS)
