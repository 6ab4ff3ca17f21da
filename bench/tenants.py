"""Tenants: 200 schemas verified, one more added beside them, a million rows exported and deleted, a schema of 300 tables dropped.

`python -m bench.tenants [schemas]`. Each figure is of one run on a server of its own, whose commits are not durable.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pgcharter.db import connect
from pgcharter.migrate import files, home, planning, runner
from pgcharter.migrate.model import Migration
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.migrate.settings import MigrateSection
from pgcharter.migrate.units import parsed
from pgcharter.names import quote
from pgcharter.policy import tenancy
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers import binaries, lifecycle
from pgcharter.tenants import deleting, enforcing, exporting, places, table, verifying
from pgcharter.tenants.rows import seeing_all
from pgcharter.tenants.table import Tenant

SCHEMAS, TABLES, ROWS, MANY = 200, 10, 1_000_000, 300
SECTION = TenancySection(placement="schemas", type="text", application_roles=("bench_api",))
NOW = datetime.now(UTC)


@contextmanager
def timed(what: str, amount: int = 0, unit: str = "") -> Iterator[None]:
    """Print how long it took, and the rate."""
    began = time.perf_counter()
    yield
    seconds = time.perf_counter() - began
    print(f"{what:<60} {seconds:>8.2f} s" + (f"  {amount / seconds:>10,.0f} {unit}/s" if amount else ""), flush=True)


def tables(number: int) -> str:
    """The statements of a migration that makes so many tables."""
    return (
        ";\n".join(
            f"CREATE TABLE t{n} (id bigint PRIMARY KEY, a text NOT NULL, b int, up bigint REFERENCES t{max(n - 1, 0)});"
            f"\nCREATE INDEX t{n}_b_idx ON t{n} (b)"
            for n in range(number)
        )
        + ";\n"
    )


def migration(number: int) -> Migration:
    """The one migration of the tenants."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "001_tables.sql").write_text(tables(number))
        return parsed(files.read(folder, MigrateSection()).migrations[0], {})


def provision(dsn: str, name: str, one: Migration, *, policies: bool) -> None:
    """A tenant with its schema and migrations; with policies as `pgcharter tenant add` does it."""
    place = f"tenant_{name}"
    with table.opened(dsn) as conn:
        table.insert(conn, name, name, {}, place)
        places.make(conn, SECTION, place)
        assert runner.apply(home.at(dsn, place), [one]).status == "done"
        if policies:
            enforcing.enforce(Wish("", dsn, chosen=Chosen((tenancy.policy(SECTION),))), SECTION, place)
            places.open_(conn, SECTION, place)
        table.turn(conn, name, "active")


def schemas(dsn: str, number: int) -> None:
    """So many tenants in schemas: verified, and one more."""
    with connect(dsn) as conn:
        conn.execute("CREATE ROLE bench_api LOGIN NOINHERIT")
    one = migration(TABLES)
    planned = planning.make(Wish("", dsn, chosen=Chosen((tenancy.policy(SECTION),)), prove=False))
    with connect(dsn) as conn:
        for step in planned.plan.steps:
            conn.execute(step.sql.encode())
    with timed(f"{number} schemas of {TABLES} tables made, migrations alone", number, "schemas"):
        for n in range(number):
            provision(dsn, f"t{n}", one, policies=False)
    with timed(f"one more added beside {number}, policies and all"):
        provision(dsn, "more", one, policies=True)
    with table.opened(dsn) as conn, timed(f"{number + 1} schemas verified", number + 1, "schemas"):
        found = verifying.verify(conn, SECTION, table.tenants(conn), (), lambda place: home.at(dsn, place) if place else dsn)
    assert {w.check for w in found} <= {"role", "access", "structure"}, found[:3]
    place = "tenant_many"
    with connect(dsn) as conn:
        conn.execute(f"CREATE SCHEMA {quote(place)}; SET search_path = {quote(place)}".encode())
        for sql in tables(MANY).split(";\n"):
            conn.execute(sql.encode())
        with timed(f"a schema of {MANY} tables dropped", MANY, "tables"):
            deleting.schema(conn, Tenant("m", "many", "leaving", NOW, NOW, {}, place))


def rows(dsn: str) -> None:
    """A million rows of one tenant among as many of another."""
    section = TenancySection(type="bigint", schemas=("app",))
    one = Tenant("1", "one", "leaving", NOW, NOW, {})
    with connect(dsn) as conn:
        conn.execute(
            "CREATE SCHEMA app; CREATE TABLE app.orders (id bigint PRIMARY KEY, tenant_id bigint NOT NULL, note text, at timestamptz)"
        )
        conn.execute(f"INSERT INTO app.orders SELECT i, 1 + i % 2, 'order ' || i, now() FROM generate_series(1, {2 * ROWS}) i".encode())
        conn.execute("CREATE INDEX ON app.orders (tenant_id)")
        conn.execute("ANALYZE app.orders")
    with tempfile.TemporaryDirectory() as folder, seeing_all(dsn) as conn:
        with timed(f"{ROWS:,} rows exported, read back and compared", ROWS, "rows"):
            exporting.export(conn, section, one, Path(folder) / "out")
        with timed(f"{ROWS:,} rows of one tenant deleted among as many", ROWS, "rows"):
            deleting.rows(conn, section, one, ROWS)


def run(number: int = SCHEMAS) -> None:
    """Measure all and print it."""
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        rows(server.dsn())
        schemas(server.dsn(), number)


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
