"""A plan that `pgcharter plan --write` made, run while people write, and everything that can break broken at every fault point.

The catalog ends where an undisturbed run ends, and the rows where the writers left them. `PGCHARTER_FULL=1` breaks everything everywhere.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import MAJORS, installation
from tests.migrate import harm, scenario

from pgcharter import faults
from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.cli import failures
from pgcharter.db import connect
from pgcharter.migrate import files, runner, units
from pgcharter.migrate.endings import Outcome
from pgcharter.migrate.ledger import Direction
from pgcharter.migrate.model import Migration
from pgcharter.migrate.terms import Pace
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.live import read_catalog

FULL = os.environ.get("PGCHARTER_FULL") == "1"
ROWS = 50_000 if FULL else 4_000
BEFORE = """
CREATE SCHEMA "Shop ü";
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE TABLE public.owners (id bigint PRIMARY KEY);
CREATE TABLE "Shop ü"."Items" ("Key" bigint PRIMARY KEY, amount int NOT NULL, owner_id bigint, extra text);
CREATE TABLE public.parts (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.parts_2 (id bigint NOT NULL, at date NOT NULL);
"""
AFTER = """
CREATE SCHEMA "Shop ü";
CREATE TYPE public.mood AS ENUM ('sad', 'good', 'ok');
CREATE TABLE public.owners (id bigint PRIMARY KEY);
CREATE TABLE "Shop ü"."Items" ("Key" bigint PRIMARY KEY, amount numeric(12,2) NOT NULL,
    owner_id bigint NOT NULL CONSTRAINT items_owner REFERENCES public.owners, CONSTRAINT items_amount CHECK (amount >= 0));
CREATE INDEX items_owner_idx ON "Shop ü"."Items" (owner_id);
CREATE TABLE public.parts (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
"""
FILLED = f"""
INSERT INTO public.owners SELECT generate_series(0, 9);
INSERT INTO "Shop ü"."Items" SELECT i, i, i % 10, 'x' FROM generate_series(1, {ROWS}) i;
INSERT INTO public.parts_2 SELECT i, '2026-02-03' FROM generate_series(1, 500) i;
VACUUM (ANALYZE) "Shop ü"."Items";
"""
KINDS = ("runner", "twice", "server", "server -9", "reset", "answer lost", "cancelled", "terminated", "locked")


@dataclass(frozen=True)
class Lab:
    """A server with databases to harm, the plan, and what an undisturbed run makes of a database."""

    server: Server
    migration: Migration
    terms: dict[str, Any]
    up: Catalog
    down: Catalog
    passed: dict[tuple[str, str], int]
    """How often an undisturbed run passes each point, by direction and point."""

    def database(self, name: str, template: str = "before") -> str:
        with psycopg.connect(self.server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[arg-type]
        return self.server.dsn(name)

    def apply(self, dsn: str, direction: Direction = "up", **terms: Any) -> Outcome:
        return runner.apply(dsn, [self.migration], direction=direction, terms=replace(scenario.TERMS, **self.terms, **terms))


@pytest.fixture(scope="module", params=MAJORS if FULL else MAJORS[-1:], ids=lambda major: f"pg{major}")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("plan")
    with lifecycle.start_ephemeral(installation(request.param), settings=harm.SETTINGS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE before STRATEGY file_copy")
        with psycopg.connect(server.dsn("before"), autocommit=True) as conn:
            for sql in (BEFORE + FILLED).split(";\n"):
                conn.execute(sql.encode())
        yield _lab(server, _planned(folder, server.dsn()))


def _planned(folder: Path, scratch: str) -> Migration:
    """As for tables of unknown size, which are taken for large ones."""
    (folder / "pgcharter.toml").write_text('guide = "core"\n[migrate]\nfolder = "migrations"\n', "utf-8")
    (folder / "before.sql").write_text(BEFORE, "utf-8")
    (folder / "after.sql").write_text(AFTER, "utf-8")
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert failures.run(["plan", "after.sql", "--on", "before.sql", "--scratch-url", scratch, "--write", "big", "-q"]) == 0
    finally:
        os.chdir(here)
    (found,) = files.read(str(folder / "migrations")).migrations
    return units.parsed(found)


def _lab(server: Server, migration: Migration) -> Lab:
    gates = frozenset(u.gate for u in (*migration.up, *(migration.down or ())) if u.gate)
    pace = Pace(first=ROWS // 12, largest=ROWS // 6, every=0.2)
    terms = {"gates_passed": gates, "pace": pace}
    raw = Lab(server, migration, terms, Catalog(), Catalog(), {})
    calm = raw.database("calm")
    passed: dict[tuple[str, str], int] = {}
    made = []
    for direction in ("up", "down"):
        os.environ[faults.VARIABLE] = "counted:0"
        faults._passed.clear()
        try:
            outcome = raw.apply(calm, direction)  # type: ignore[arg-type]
        finally:
            del os.environ[faults.VARIABLE]
        assert outcome.status == "done", outcome
        passed |= {(direction, point): count for point, count in faults._passed.items()}
        made.append(_catalog(calm))
        if direction == "up":
            with psycopg.connect(server.dsn(), autocommit=True) as admin:
                admin.execute("CREATE DATABASE after TEMPLATE calm STRATEGY file_copy")
    return replace(raw, up=made[0], down=made[1], passed=passed)


def _catalog(dsn: str) -> Catalog:
    with connect(dsn) as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        return read_catalog(conn)


def writer(dsn: str) -> harm.Writer:
    table = '"Shop ü"."Items"'
    return harm.Writer(
        dsn,
        f'INSERT INTO {table} ("Key", amount, owner_id) VALUES (%s, %s, 3)',
        f'UPDATE {table} SET amount = %s WHERE "Key" = %s',
        f'DELETE FROM {table} WHERE "Key" = %s',
        f'SELECT amount FROM {table} WHERE "Key" = %s',
        {i: i for i in range(1, ROWS + 1)},
        itertools.count(ROWS * 10),
    )


def harmed(lab: Lab, dsn: str, kind: str, place: str, direction: Direction) -> str:
    """Begin the migration and break it at `place` in the way of `kind`; how the run ended."""
    process = (dsn, place, (lab.migration,), lab.terms, direction)
    if kind in ("runner", "twice"):
        ends = []
        for fault in (place, "unit:2")[: 1 + (kind == "twice")]:
            begun = scenario.process(dsn, fault, *process[2:])
            begun.join(60)
            ends.append(begun.exitcode)
        return "killed" if ends[0] == -signal.SIGKILL and ends[-1] in (-signal.SIGKILL, 0) else f"ended in {ends}"
    proxy = harm.Proxy(dsn)
    impatient = {**lab.terms, "lock_timeout": 0.3, "deadline": 0.7} if kind == "locked" else lab.terms
    with scenario.stopped(proxy.dsn, place, (lab.migration,), impatient, direction) as begun:
        assert begun.is_alive(), f"{place} was not come to"
        _break(lab, dsn, kind, proxy, begun.pid or 0)
        begun.join(60)
        proxy.close()
        return "over" if begun.exitcode == 0 else "failed" if begun.exitcode in (3, 10) else f"ended in {begun.exitcode}"


SESSIONS = "FROM pg_stat_activity WHERE application_name = 'pgcharter migrate' AND datname = current_database()"


def _break(lab: Lab, dsn: str, kind: str, proxy: harm.Proxy, pid: int) -> None:
    def go_on() -> None:
        os.kill(pid, signal.SIGCONT)

    def for_a_while(sql: str, seconds: float) -> None:
        over = time.monotonic() + seconds
        go_on()
        harm.beside(dsn, sql, lambda: time.monotonic() > over)

    match kind:
        case "server" | "server -9":
            harm.kill(lab.server, signal.SIGQUIT if kind == "server" else signal.SIGKILL)
            go_on()
        case "reset":
            proxy.reset()
            go_on()
        case "answer lost":
            proxy.reset_at_answer()
            go_on()
            proxy.broke.wait(10)
        case "cancelled":
            for_a_while(f"SELECT pg_cancel_backend(pid) {SESSIONS} AND state = 'active'", 0.3)
        case "terminated":
            for_a_while(f"SELECT pg_terminate_backend(pid) {SESSIONS}", 0.1)
        case "locked":
            _locked(dsn, go_on)


def _locked(dsn: str, go_on: Any) -> None:
    """Hold the tables against everybody for longer than a run tries."""
    with psycopg.connect(dsn) as conn:
        conn.execute("SET lock_timeout = '100ms'")
        for table in ('"Shop ü"."Items"', "public.parts"):
            try:
                with conn.transaction():
                    conn.execute(f"LOCK TABLE {table}".encode())
            except psycopg.errors.LockNotAvailable:
                pass
        go_on()
        time.sleep(1.6)
        conn.rollback()


def problems(lab: Lab, number: str, kind: str, place: str, direction: Direction) -> list[str]:
    """Harm a run, run the same again, and say what is not as it must be."""
    dsn = lab.database(f"harmed_{number}", "before" if direction == "up" else "after")
    with writer(dsn) as writing:
        ended = harmed(lab, dsn, kind, place, direction)
        again = lab.apply(dsn, direction)
        twice = lab.apply(dsn, direction)
    found = list(writing.problems)
    if (kind in ("runner", "twice") and ended != "killed") or ended not in ("killed", "failed", "over"):
        found.append(f"the run {ended}")
    if again.status != "done" or twice.message != "nothing to do":
        found.append(f"again: {again.status}: {again.message}; then {twice.message}")
    if kind not in ("locked", "server", "server -9") and writing.longest > scenario.TERMS.lock_timeout + 1.0:
        found.append(f"a writer waited {writing.longest:.1f} s")
    if writing.done < 3:
        found.append(f"the writer did only {writing.done}")
    differences = compare(lab.up if direction == "up" else lab.down, _catalog(dsn))
    found += [str(d) for d in differences if d.object.schema != "pgcharter"]  # a long run tells there how far it is
    found += _rows(dsn, writing.rows) + _traces(dsn, direction)
    with psycopg.connect(lab.server.dsn(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE harmed_{number} WITH (FORCE)")  # type: ignore[arg-type]
    return [f"{place} × {kind} ({direction}): {problem}" for problem in found]


def _rows(dsn: str, wanted: dict[int, int]) -> list[str]:
    with connect(dsn) as conn:
        rows = {int(key): amount for key, amount in conn.execute('SELECT "Key", amount FROM "Shop ü"."Items"').fetchall()}
        owners = conn.execute('SELECT count(*) FROM "Shop ü"."Items" WHERE owner_id IS NULL').fetchone()
    wrong = [key for key in {*rows, *wanted} if rows.get(key) != wanted.get(key)]
    return [f"row {key} is {rows.get(key)}, was written as {wanted.get(key)}" for key in wrong[:3]] + (["owners"] if owners != (0,) else [])


def _traces(dsn: str, direction: Direction) -> list[str]:
    with connect(dsn) as conn:
        runs = conn.execute("SELECT outcome, direction FROM pgcharter.schema_migrations ORDER BY run_id").fetchall()
        invalid = conn.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
        locks = conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database "
                             "WHERE datname = current_database())").fetchone()  # fmt: skip
    wanted = [("done", "up")] if direction == "up" else [("done", "up"), ("done", "down")]
    return [f"left behind: {what}" for what in (invalid, runs if runs != wanted else [], [locks] if locks != (0,) else []) if what]


def places(lab: Lab, direction: Direction) -> list[str]:
    """Every point as often as it is passed; of batches, which are alike, the first, the second and the last."""
    found = []
    for point in runner.POINTS:
        times = lab.passed.get((direction, point), 0)
        numbers = range(1, times + 1) if "batch" not in point else sorted({1, 2, times} & set(range(1, times + 1)))
        found += [f"{point}:{number}" for number in numbers]
    return found


def test_every_fault_point_is_passed_by_the_plan(lab: Lab) -> None:
    missing = {point for point in runner.POINTS if not lab.passed.get(("up", point))}
    assert not missing


SOME: dict[Direction, tuple[tuple[str, str], ...]] = {
    "up": (
        ("in batch:2", "runner"), ("before sweep:1", "twice"), ("before alone:1", "server"), ("after alone:1", "server -9"),
        ("before commit:3", "answer lost"), ("in batch:1", "reset"), ("after batch:2", "answer lost"), ("before alone:1", "cancelled"),
        ("in transaction:4", "terminated"), ("started:1", "locked"), ("after record:3", "reset"), ("before finish:1", "server"),
        ("locked:1", "terminated"),
    ),
    "down": (("before alone:1", "answer lost"), ("after commit:9", "runner"), ("in batch:2", "server")),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(7200 if FULL else 300)
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("kinds", KINDS if FULL else ("some",))
def test_whatever_breaks_the_plan_is_taken_up_again(lab: Lab, direction: Direction, kinds: str) -> None:
    chosen = [(place, kinds) for place in places(lab, direction)] if FULL else SOME[direction]
    found: list[str] = []
    for number, (place, kind) in enumerate(chosen):
        bad = problems(lab, f"{direction}_{number}", kind, place, direction)
        found += bad
        if FULL and sys.__stderr__:
            sys.__stderr__.write("\n".join([*bad, f"{direction} {place} × {kind}{' bad' if bad else ''}\n"]))
    assert found == []
