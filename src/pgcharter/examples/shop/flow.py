"""What becomes of an order after it is placed: events tell of it, a saga reserves, charges and ships, others hear of it by messages.

pgcharter saga run --env dev           # fulfils orders
pgcharter outbox run --env dev         # tells others
pgcharter projections verify order-journeys --env dev
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from pgcharter.examples.shop.trade import Basket, Placed, Trade
from pgcharter.runtime.database import Database
from pgcharter.runtime.events import New
from pgcharter.runtime.events_model import Event
from pgcharter.runtime.idempotency import Key
from pgcharter.runtime.messaging import Messaging
from pgcharter.runtime.outbox import publish
from pgcharter.runtime.outbox_relay import Route
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.projections import Into, Projection, aappend_and_project, append_and_project
from pgcharter.runtime.sagas import AbortError, Context, Retrying, Saga, Step, start
from pgcharter.runtime.targets import Call, Message
from pgcharter.runtime.work import AsyncWork

ORDER = "order"
"""Type of the aggregate whose events these are, and of the saga."""
_STATUSES = {"order-placed": "pending_payment", "order-paid": "paid", "order-shipped": "shipped", "order-cancelled": "cancelled"}
_RESERVE = """
UPDATE catalog.inventory_items AS i SET reserved_quantity = i.reserved_quantity + w.quantity
FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM sales.order_items WHERE order_id = %s GROUP BY 1 ORDER BY 1) AS w
WHERE i.product_id = w.product_id AND i.available_quantity >= w.quantity
RETURNING 1
"""
_MOVE = """
UPDATE catalog.inventory_items AS i
SET reserved_quantity = i.reserved_quantity - w.quantity, shipped_quantity = i.shipped_quantity + %s * w.quantity
FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM sales.order_items WHERE order_id = %s GROUP BY 1 ORDER BY 1) AS w
WHERE i.product_id = w.product_id
"""
_PAY = """
INSERT INTO sales.payments (tenant_id, order_id, payment_method, payment_status, amount, currency_code, provider_reference, captured_at)
SELECT tenant_id, order_id, 'credit_card', 'captured', total_amount, currency_code, %s, now() FROM sales.orders WHERE order_id = %s
"""


class DeclinedError(AbortError):
    """The bank will not pay."""


class Bank:
    """Who pays, outside of this database: it does once what it is asked with one key, however often it is asked.

    This one is a stand-in that forgets all when its process ends; it pays up to a limit.
    """

    def __init__(self, limit: Decimal = Decimal(1000)) -> None:
        self.limit = limit
        self.taken: dict[str, Decimal] = {}
        self._lock = threading.Lock()

    def charge(self, amount: Decimal, key: str) -> str:
        """Take money; a reference to that. Raises DeclinedError."""
        if amount > self.limit:
            raise DeclinedError(f"the bank pays {self.limit} at most, and not {amount}")
        with self._lock:
            self.taken.setdefault(key, amount)
        return f"bank-{key}"

    def refund(self, key: str) -> None:
        """Give back what was taken with a key, if it was."""
        with self._lock:
            self.taken.pop(key, None)


@dataclass
class Fulfilment:
    """What the saga of an order knows."""

    order_id: UUID
    order_number: str
    total_amount: Decimal
    payment: str = ""
    """The bank's reference."""


def _journey(conn: Any, event: Event, into: Into) -> Any:
    """Bring the order's row up with what happened; on a connection of either kind."""
    data = event.data
    named = {
        "order": event.aggregate_id, "tenant": event.tenant, "number": data.get("order_number"), "amount": data.get("total_amount"),
        "status": _STATUSES[event.type], "at": event.at,
    }  # fmt: skip
    if event.type == "order-placed":
        sql = f"""INSERT INTO {into("sales.order_journeys")}
            (order_journey_id, tenant_id, order_number, order_status, total_amount, event_count, placed_at)
            VALUES (%(order)s, %(tenant)s::uuid, %(number)s, %(status)s, %(amount)s, 1, %(at)s)"""
    else:
        noted = {"order-paid": ", paid_at = %(at)s", "order-shipped": ", shipped_at = %(at)s"}.get(event.type, "")
        sql = f"""UPDATE {into("sales.order_journeys")}
            SET order_status = %(status)s, event_count = event_count + 1{noted} WHERE order_journey_id = %(order)s"""
    return conn.execute(sql.encode(), named)


async def _journey_async(conn: Any, event: Event, into: Into) -> None:
    await _journey(conn, event, into)


def _journey_sync(conn: Any, event: Event, into: Into) -> None:
    _journey(conn, event, into)


JOURNEYS = Projection(
    "order-journeys", {"sales.order_journeys": "order_journey_id"}, _journey_sync, types=tuple(_STATUSES), mode="inline",
    left_out=("created_at", "updated_at"),
)  # fmt: skip
_JOURNEYS_ASYNC = replace(JOURNEYS, handle=_journey_async)


async def checkout(trade: Trade, basket: Basket, request: str, saga: Saga[Fulfilment]) -> Placed:
    """Place an order that is fulfilled later, by a saga. The same `request` again gets the same answer.

    Order, event, read model, message and saga are there when the transaction is committed, or none of them. Raises NotFoundError.
    """

    async def work_on(work: AsyncWork) -> Placed:
        placed = await trade.written(work, basket)
        facts = {"order_number": placed.order_number, "total_amount": str(placed.total_amount)}
        await aappend_and_project(work.conn, [_JOURNEYS_ASYNC], ORDER, placed.order_id, [New("order-placed", facts)], expected="none")
        await publish.aio(work.conn, "orders.placed", facts, key=placed.order_id)
        data = Fulfilment(placed.order_id, placed.order_number, placed.total_amount)
        await start.aio(work.conn, saga, data, key=str(placed.order_id))
        return placed

    return await trade.db.run(work_on, idempotency=Key("checkout", request, basket, Placed))


def _told(step: Context[Fulfilment], what: str, status: str) -> None:
    """Set the status of the order, and tell of it."""
    conn, data = step.work.conn, step.data
    conn.execute("UPDATE sales.orders SET order_status = %s WHERE order_id = %s", (status, data.order_id))
    append_and_project(conn, [JOURNEYS], ORDER, data.order_id, [New(f"order-{what}", {"order_number": data.order_number})])
    publish(conn, f"orders.{what}", {"order_number": data.order_number}, key=data.order_id)


def _reserve(step: Context[Fulfilment]) -> None:
    conn, order = step.work.conn, step.data.order_id
    wanted = conn.execute("SELECT count(DISTINCT product_id) FROM sales.order_items WHERE order_id = %s", (order,)).fetchone()
    if len(conn.execute(_RESERVE, (order,)).fetchall()) < wanted[0]:
        raise AbortError(f"there is not enough in stock for order {step.data.order_number}")


def _release(step: Context[Fulfilment]) -> None:
    step.work.conn.execute(_MOVE, (0, step.data.order_id))


def _cancel(step: Context[Fulfilment]) -> None:
    _told(step, "cancelled", "cancelled")


def _book(step: Context[Fulfilment]) -> None:
    step.work.conn.execute(_PAY, (step.data.payment, step.data.order_id))
    _told(step, "paid", "paid")


def _unbook(step: Context[Fulfilment]) -> None:
    step.work.conn.execute("UPDATE sales.payments SET payment_status = 'refunded' WHERE provider_reference = %s", (step.data.payment,))


def _ship(step: Context[Fulfilment]) -> None:
    step.work.conn.execute(_MOVE, (1, step.data.order_id))
    _told(step, "shipped", "shipped")


def _nothing(_: Context[Fulfilment]) -> None:
    """What `accept` has to do: to be taken back when the saga turns round."""


def fulfilment(bank: Bank) -> Saga[Fulfilment]:
    """The saga of an order: once it is shipped, there is no way back."""

    def charge(step: Context[Fulfilment]) -> None:
        step.data.payment = bank.charge(step.data.total_amount, step.idempotency)

    def refund(step: Context[Fulfilment]) -> None:
        bank.refund(step.idempotency)

    return Saga(
        ORDER,
        [
            Step("accept", _nothing, _cancel, inside=True),
            Step("reserve", _reserve, _release, inside=True),
            Step("charge", charge, refund, timeout=10, retry=Retrying(attempts=5, never=(DeclinedError,))),
            Step("book", _book, _unbook, inside=True),
            Step("ship", _ship, inside=True, pivot=True),
        ],
        data=Fulfilment,
        deadline=3600,
    )


def application(bank: Bank, routes: Sequence[Route] = ()) -> Messaging:
    """The shop's part in messaging, with a bank and with whoever is to hear of orders."""
    return Messaging(
        database=lambda dsn: Database(dsn, application="shop worker", tenants=True, size=PoolSize(min=1, max=5)),
        projections=[JOURNEYS], routes=routes, sagas=[fulfilment(bank)],
    )  # fmt: skip


def _printed(message: Message) -> None:
    print(f"{message.topic}  {message.text}", flush=True)  # noqa: T201


messaging = application(Bank(), [Route("mail", Call(_printed), topics=("orders.*",))])
