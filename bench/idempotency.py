"""What an idempotency key costs a transaction: claim and answer beside the same transaction without, by hand, and a repeated request.

`python -m bench.idempotency [transactions]`. Each round runs all forms in turn; printed is the median of a transaction and what it costs
over the bare one. The server is on the same machine, by a Unix socket, with fsync off: a round trip and a commit cost the least they can.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import idempotency as policies
from pgcharter.policy.idempotency_settings import IdempotencySection
from pgcharter.runtime.idempotency import Answer, Key, answer, claim
from pgcharter.servers import binaries, lifecycle

TRANSACTIONS = 4_000
REQUEST = {"sku": "a-1", "quantity": 2, "address": "12 Long Street"}
REPLY = {"order": 4711, "state": "placed"}
BY_HAND = "INSERT INTO by_hand (key, answer) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING key"


def run(transactions: int = TRANSACTIONS) -> None:
    """Measure all forms and print them."""
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        dsn, numbers = server.dsn(), itertools.count()
        planned = planning.make(Wish("", dsn, chosen=Chosen((policies.policy(IdempotencySection()),)), prove=False))
        with psycopg.connect(dsn, autocommit=True) as conn:
            for step in planned.plan.steps:
                conn.execute(step.sql.encode())
            conn.execute("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text)")
            conn.execute("CREATE TABLE by_hand (key text PRIMARY KEY, answer text)")
        with psycopg.connect(dsn) as conn:

            def work() -> None:
                conn.execute("INSERT INTO orders (sku) VALUES ('a')")

            def bare() -> None:
                work()
                conn.commit()

            def by_hand() -> None:
                conn.execute(BY_HAND, (str(next(numbers)), '{"order": 4711}')).fetchone()
                work()
                conn.commit()

            def keyed() -> None:
                key = Key("place-order", next(numbers), request=REQUEST)
                claim(conn, key)
                work()
                answer(conn, key, REPLY)
                conn.commit()

            def repeated() -> None:
                assert isinstance(claim(conn, Key("place-order", "again", request=REQUEST)), Answer)
                conn.commit()

            key = Key("place-order", "again", request=REQUEST)
            claim(conn, key)
            answer(conn, key, REPLY)
            conn.commit()
            _report(
                {"bare": bare, "a key by hand, answered with it": by_hand, "claim and answer": keyed, "repeated request": repeated},
                transactions,
            )


def _report(forms: dict[str, Callable[[], None]], transactions: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(transactions):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            times[name].append(time.perf_counter() - start)
    base = statistics.median(times["bare"])
    for name, found in times.items():
        median = statistics.median(found)
        sys.stdout.write(f"{name:32} {median * 1e6:7.0f} µs  {(median - base) * 1e6:+7.0f} µs  {median / base:5.2f}\n")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else TRANSACTIONS)
