"""A transaction with its context against a bare one: psycopg and SQLAlchemy, and the context sent by a statement of its own.

`python -m bench.context [transactions]`. Each round runs all forms in turn; printed is the median of a transaction, and what it costs over
the bare one of the same library. The server is on the same machine, by a Unix socket: a round trip costs the least it can.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import create_engine, text

from pgcharter.runtime.connections import ContextConnection
from pgcharter.runtime.context import Context, using
from pgcharter.runtime.engines import bind
from pgcharter.runtime.placement import Schemas
from pgcharter.servers import binaries, lifecycle

TRANSACTIONS = 20_000
CHOSEN = Context("00000000-0000-0000-0000-00000000000a", "ada@example.org", "", "4bf92f3577b34da6a3ce929d0e0e4736")
PLACED = replace(CHOSEN, tenant="acme")
SETTING = "SELECT " + ", ".join(f"set_config('pgcharter.{name}', %s, true)" for name in ("tenant", "actor", "correlation"))
VALUES = (CHOSEN.tenant, CHOSEN.actor, CHOSEN.correlation)


class PlacedConnection(ContextConnection[TupleRow]):
    """A connection where tenants are in schemas."""

    placement = Schemas()


def run(transactions: int = TRANSACTIONS) -> None:
    """Measure all forms and print them."""
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        dsn = server.dsn()
        url = dsn.replace("postgresql://", "postgresql+psycopg://", 1)
        plain, bound = create_engine(url), bind(create_engine(url))
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("CREATE ROLE tenant_acme; CREATE SCHEMA tenant_acme")
        with psycopg.connect(dsn) as bare, ContextConnection.connect(dsn) as contextual, PlacedConnection.connect(dsn) as placed:

            def by_psycopg() -> None:
                bare.execute("SELECT 1").fetchone()
                bare.commit()

            def by_hand() -> None:
                bare.execute(SETTING, VALUES)
                bare.execute("SELECT 1").fetchone()
                bare.commit()

            def with_context() -> None:
                contextual.execute("SELECT 1").fetchone()
                contextual.commit()

            def with_placement() -> None:
                with using(PLACED):
                    placed.execute("SELECT 1").fetchone()
                    placed.commit()

            def by_engine() -> None:
                with plain.begin() as conn:
                    conn.execute(text("SELECT 1")).scalar_one()

            def by_bound_engine() -> None:
                with bound.begin() as conn:
                    conn.execute(text("SELECT 1")).scalar_one()

            forms: dict[str, Callable[[], None]] = {
                "psycopg, bare": by_psycopg, "psycopg, set_config by hand": by_hand, "psycopg, ContextConnection": with_context,
                "psycopg, with role and path": with_placement,
                "SQLAlchemy, bare": by_engine, "SQLAlchemy, bind(engine)": by_bound_engine,
            }  # fmt: skip
            with using(CHOSEN):
                _print(_measured(forms, transactions))


def _measured(forms: dict[str, Callable[[], None]], transactions: int) -> dict[str, float]:
    """Median seconds of one transaction in each form, all in turn."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(transactions // len(forms)):
        for name, form in forms.items():
            began = time.perf_counter()
            form()
            if number > 50:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def _print(medians: dict[str, float]) -> None:
    for name, median in medians.items():
        base = medians[f"{name.partition(',')[0]}, bare"]
        print(f"{name:30} {median * 1e6:7.1f} µs   {(median - base) * 1e6:+7.1f} µs   {median / base:.2f}×", flush=True)


if __name__ == "__main__":
    run(*(int(a) for a in sys.argv[1:]))
