"""A shop for tests of sagas: stock and money on tables, an outside world that remembers what it was asked, and the order over them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import messaging
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.runtime.sagas import Context, Retrying, Saga, SagaSettings, Step

_statements: dict[Any, tuple[str, ...]] = {}
QUICK = SagaSettings(concurrency=8, lease=5.0, poll_least=0.002, poll_most=0.02, grace=0.1)
TABLES = """
CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL CHECK (quantity >= 0));
CREATE TABLE reserved (saga uuid NOT NULL, sku text NOT NULL, quantity int NOT NULL);
CREATE TABLE money (account text PRIMARY KEY, cents int NOT NULL);
CREATE TABLE parcels (saga uuid NOT NULL);
CREATE TABLE outside (key text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE effects (key text PRIMARY KEY, cents int NOT NULL);
INSERT INTO stock VALUES ('a', 1000);
INSERT INTO money VALUES ('ann', 100000), ('shop', 0);
"""


def install(dsn: str, *, tables: bool = False, **more: Any) -> None:
    """Make the tables of sagas."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        at = (conn.info.server_version, str(more))
        if at not in _statements:
            chosen = Chosen((messaging.policy(MessagingSection(parts=("sagas",), **more)),))
            planned = planning.make(Wish("", dsn, chosen=chosen, prove=False))
            assert planned.plan.questions == ()
            _statements[at] = tuple(s.sql for s in planned.plan.steps)
        for sql in _statements[at]:
            conn.execute(sql.encode())
        if tables:
            conn.execute(TABLES.encode())


@dataclass
class Order:
    sku: str = "a"
    quantity: int = 1
    cents: int = 500
    charge: str | None = None
    notes: list[str] = field(default_factory=list)


class World:
    """What is outside of the database: it remembers each key it was asked with, and does a thing once for each."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.order: list[str] = []
        self._lock = threading.Lock()

    def ask(self, context: Context[Any]) -> None:
        with self._lock:
            self.asked[context.idempotency] += 1
            self.order.append(context.idempotency.partition(":")[2])


RETRY = Retrying(attempts=3, base=0.01, longest=0.02)


def named(*names: str, world: World, fail: dict[str, Any] | None = None, **more: Any) -> list[Step]:
    """Steps that ask the world, and some of which fail as often as said (-1: always)."""
    left = dict(fail or {})

    def action(context: Context[Any], undo: bool = False) -> str:
        mark = context.step + (":undo" if undo else "")
        if left.get(mark):
            left[mark] -= 1
            raise ValueError(f"{mark} does not want to")
        world.ask(context)
        return mark

    return [Step(n, action, undo=lambda c: action(c, True), retry=RETRY, **more) for n in names]


def simple(name: str, *steps: Any, **more: Any) -> Saga[Any]:
    return Saga(name, steps, **more)
