"""Row security as `[tenancy]` makes it against an explicit WHERE, on 5 million rows of 1,000 tenants: points, ranges, forms of policy.

`python -m bench.row_security [rows]`. Both read the same table by the same indexes, a superuser with the condition written out, an
application's role with the policy; medians of many reads of random tenants, all forms in turn.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import tenancy
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers import binaries, lifecycle

ROWS, TENANTS, READS = 5_000_000, 1_000, 2_000
SETTINGS: dict[str, lifecycle.Setting] = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
SECTION = TenancySection(schemas=("app",), type="bigint", application_roles=("reader",), ask_state=True)
FORMS = ("policy", "policy, wrapped", "policy, asking")
"""The condition alone, the same in a subselect, and with the question whether the tenant is active (`ask_state`)."""
READING = {
    "point by key": ("SELECT total FROM app.orders WHERE id = %(id)s", 1),
    "range of a tenant (200 rows)": ("SELECT count(total) FROM app.orders WHERE at BETWEEN %(at)s AND %(at)s + 20000", 1),
    "all of a tenant": ("SELECT count(total) FROM app.orders", 20),
    "scan without index": ("SELECT count(total) FROM app.orders WHERE note = 'note 5'", 500),
}
"""Queries without the tenant's condition, and how many times less often than others each is measured."""


def run(rows: int = ROWS) -> None:
    """Fill the table, measure, print the ratios; the server and its data are gone afterwards."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server, _connected(server) as conn:
        conn.execute("CREATE ROLE reader; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO reader")
        conn.execute("CREATE TABLE app.orders (id bigint, tenant_id bigint NOT NULL, at bigint NOT NULL, total bigint, note text)")
        conn.execute(
            f"INSERT INTO app.orders SELECT i, i %% {TENANTS}, i / 10, i, 'note ' || i %% 100 FROM generate_series(1, %s) i", (rows,)
        )
        conn.execute("ALTER TABLE app.orders ADD PRIMARY KEY (id); CREATE INDEX ON app.orders (tenant_id, at)")
        conn.execute("GRANT SELECT ON app.orders TO reader")
        for section in (replace(SECTION, stage="tenants"), SECTION):
            for step in planning.make(Wish("", server.dsn(), prove=False, chosen=Chosen((tenancy.policy(section),)))).plan.steps:
                conn.execute(step.sql.encode())
            conn.execute(
                "INSERT INTO pgcharter.tenants SELECT i, 't' || i FROM generate_series(0, %s) i ON CONFLICT DO NOTHING", (TENANTS,)
            )
        conn.execute("VACUUM (ANALYZE) app.orders")
        conn.execute("SET max_parallel_workers_per_gather = 0; SET jit = off")
        for name, (sql, rarer) in READING.items():
            _print(name, _measured(conn, sql, max(READS // rarer, 3), rows))


def _connected(server: lifecycle.Server) -> psycopg.Connection[Any]:
    return psycopg.connect(server.dsn(), autocommit=True)


def _measured(conn: psycopg.Connection[Any], sql: str, reads: int, rows: int) -> dict[str, float]:
    """Median seconds of one read with WHERE and with each form of the policy, beside a WHERE of its own.

    The pages are read once before, unmeasured, and who comes first changes from read to read: neither finds what the other has fetched.
    """
    joined = f"{sql} {'AND' if 'WHERE' in sql else 'WHERE'} tenant_id = %(tenant)s"
    medians: dict[str, float] = {}
    for policy in FORMS:
        _write_policies(conn, policy)
        forms = {f"WHERE beside {policy}": (joined, "NONE"), policy: (sql, "reader")}
        taken: dict[str, list[float]] = {name: [] for name in forms}
        for number, values in enumerate(_values(reads, rows)):
            _read(conn, joined, values, "NONE")
            for name in sorted(forms, reverse=bool(number % 2)):
                taken[name].append(_read(conn, forms[name][0], values, forms[name][1]))
        medians |= {name: statistics.median(times) for name, times in taken.items()}
    return medians


def _write_policies(conn: psycopg.Connection[Any], form: str) -> None:
    value = "NULLIF(current_setting('pgcharter.tenant', true), '')::bigint"
    held = f"tenant_id = {f'(SELECT {value})' if form == 'policy, wrapped' else value}"
    asked = " AND (SELECT pgcharter.tenant_is_active())" if form == "policy, asking" else ""
    conn.execute(f"ALTER POLICY pgcharter_rows ON app.orders USING ({held})".encode())
    conn.execute(f"ALTER POLICY pgcharter_tenant ON app.orders USING ({held}{asked})".encode())


def _values(reads: int, rows: int) -> Iterator[dict[str, int]]:
    chosen = random.Random(1)
    for _ in range(reads):
        number = chosen.randint(1, rows)
        yield {"id": number, "tenant": number % TENANTS, "at": chosen.randint(1, rows // 10)}


def _read(conn: psycopg.Connection[Any], sql: str, values: dict[str, int], role: str) -> float:
    conn.execute(f"SET ROLE {role}; SET pgcharter.tenant = '{values['tenant']}'".encode())
    began = time.perf_counter()
    conn.execute(sql.encode(), values).fetchall()
    taken = time.perf_counter() - began
    conn.execute("RESET ROLE")
    return taken


def _print(name: str, medians: dict[str, float]) -> None:
    forms = [f"{f} {medians[f] * 1000:.3f} ms ({medians[f] / medians[f'WHERE beside {f}']:.2f}×)" for f in FORMS]
    print(f"{name:30} WHERE {medians['WHERE beside policy'] * 1000:.3f} ms   {'   '.join(forms)}", flush=True)


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
