"""The part of the walk that goes on by itself: orders that a saga fulfils or takes back, what others hear of them, a read model proven."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from pgcharter.examples.walk import Seen, hold
from pgcharter.runtime.context import context

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.examples.shop.flow import Bank
    from pgcharter.examples.shop.trade import Placed
    from pgcharter.runtime.messaging import Messaging

PAID, DECLINED, WORKERS = 30, 10, 2
_STOCK = "SELECT reserved_quantity, shipped_quantity, price_amount FROM catalog.inventory_items JOIN catalog.products USING (product_id)"
_PRODUCT = """
SELECT p.product_id, o.user_id
FROM catalog.products AS p JOIN catalog.inventory_items AS i USING (product_id)
CROSS JOIN LATERAL (SELECT user_id FROM sales.orders WHERE tenant_id = p.tenant_id LIMIT 1) AS o
WHERE p.tenant_id = %s AND p.product_status = 'active' AND p.deleted_at IS NULL AND p.price_amount > 5
ORDER BY i.available_quantity DESC, p.product_id LIMIT 1
"""
_ENDED = "SELECT order_status::text, count(*) FROM sales.order_journeys WHERE order_journey_id = ANY (%s) GROUP BY 1 ORDER BY 1"


def fulfilled(conn: Connection, dsn: str, api: str, worker: str, tenant: UUID) -> Iterator[Seen]:
    """Place orders as the service, fulfil them as the worker; `dsn` and `conn` are the superuser's."""
    from pgcharter.examples.shop import flow
    from pgcharter.runtime.database import Database
    from pgcharter.runtime.projections_rebuild import Check, Rebuild

    row = conn.execute(_PRODUCT, (tenant,)).fetchone()
    assert row is not None  # noqa: S101 (the fill has thousands)
    product, user = row
    with Database(dsn, application="pgcharter walk") as db:
        Rebuild(db, flow.JOURNEYS).run()
        reserved, shipped, price = _row(conn, f"{_STOCK} WHERE product_id = %s", product)
        bank = flow.Bank(limit=price + 5)
        messaging = flow.application(bank)
        try:
            with context(tenant=tenant, actor="the walk"):
                placed = asyncio.run(_placed(api, messaging, user, product))
            hold(_count(conn, placed) == {"pending_payment": PAID + DECLINED}, "an order is placed, and is not in the read model")
            began = time.monotonic()
            _run(worker, messaging)
            yield _counted(conn, placed, bank, time.monotonic() - began)
            after = _row(conn, f"{_STOCK} WHERE product_id = %s", product)
            hold(after[:2] == (reserved, shipped + PAID), f"of {PAID} units shipped, the stock shows {after}")
            yield _heard(worker, messaging, placed)
            (proven,) = Check(db, flow.JOURNEYS).run()
            hold(proven.equal, f"the read model is not what its events make: {proven}")
        finally:
            _put_back(conn, product, shipped)
        yield Seen(
            f"the read model of {proven.rows:,} orders was made again from their events, in one snapshot, and is the same",
            f"checksum of the live table {proven.checksum}, of what the events make {proven.other_checksum}",
        )


def _put_back(conn: Connection, product: UUID, shipped: int) -> None:
    """Take the walk's orders away again; that there were some, their events go on telling."""
    with conn.transaction():
        mine = "SELECT order_id FROM sales.orders WHERE shipping_city = 'Nowhere'"
        conn.execute(f"DELETE FROM sales.payments WHERE order_id IN ({mine})".encode())
        conn.execute("DELETE FROM sales.orders WHERE shipping_city = 'Nowhere'")
        conn.execute("UPDATE catalog.inventory_items SET shipped_quantity = %s WHERE product_id = %s", (shipped, product))
        conn.execute("DELETE FROM pgcharter.idempotency_keys WHERE operation = 'checkout' AND key LIKE 'walk-%'")


async def _placed(api: str, messaging: Messaging, user: UUID, product: UUID) -> list[Placed]:
    from pgcharter.examples.shop.flow import checkout
    from pgcharter.examples.shop.trade import Basket, Line, Trade
    from pgcharter.runtime.cache import AsyncCache
    from pgcharter.runtime.database import AsyncDatabase
    from pgcharter.runtime.pages import Pager
    from pgcharter.runtime.pools import PoolSize

    saga = messaging.saga("order")
    quantities = [1] * PAID + [100] * DECLINED
    async with AsyncDatabase(api, application="pgcharter walk", tenants=True, size=PoolSize(min=1, max=8)) as db, AsyncCache() as cache:
        trade = Trade(db, Pager([uuid4().hex]), cache)
        baskets = [Basket(user, "Nowhere", (Line(product, q),)) for q in quantities]
        return list(await asyncio.gather(*(checkout(trade, b, f"walk-{uuid4()}", saga) for b in baskets)))


def _run(worker: str, messaging: Messaging) -> None:
    """Several workers, as several processes would be."""
    from pgcharter.runtime.sagas import SagaWorker

    with ExitStack() as stack:
        workers = [SagaWorker(stack.enter_context(messaging.database(worker)), messaging.sagas) for _ in range(WORKERS)]  # type: ignore[arg-type]
        threads = [threading.Thread(target=w.run, kwargs={"until_idle": True}) for w in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _counted(conn: Connection, placed: list[Placed], bank: Bank, seconds: float) -> Seen:
    ended = _count(conn, placed)
    hold(ended == {"cancelled": DECLINED, "shipped": PAID}, f"of {PAID + DECLINED} orders became {ended}")
    ids = [p.order_id for p in placed]
    query = "SELECT COALESCE(sum(amount), 0) FROM sales.payments WHERE payment_status = 'captured' AND order_id = ANY (%s)"
    (booked,) = _row(conn, query, ids)
    taken = sum(bank.taken.values(), Decimal(0))
    hold(
        booked == taken and len(bank.taken) == PAID, f"the bank has paid {taken} in {len(bank.taken)} payments, and the books show {booked}"
    )
    return Seen(
        f"{len(placed)} orders, fulfilled by {WORKERS} workers in {seconds:.2f} s: {PAID} reserved, paid and shipped; "
        f"{DECLINED}, which the bank declined, gave back what they had reserved",
        f"the bank has paid {taken:,.2f} in {PAID} payments, and so say the books",
    )


def _heard(worker: str, messaging: Messaging, placed: list[Placed]) -> Seen:
    """Deliver what was published to a function, and look at the order in which it came."""
    from pgcharter.runtime.outbox_relay import Relay, Route
    from pgcharter.runtime.targets import Call

    heard: dict[str, list[str]] = {}

    def hear(message: Any) -> None:
        heard.setdefault(message.payload["order_number"], []).append(message.topic)

    with messaging.database(worker) as db:  # type: ignore[union-attr]
        Relay(db, [Route("walk", Call(hear), topics=("orders.*",))]).catch_up()
    ways = [tuple(heard.get(p.order_number, ())) for p in placed]
    good = {("orders.placed", "orders.paid", "orders.shipped"): PAID, ("orders.placed", "orders.cancelled"): DECLINED}
    hold({way: ways.count(way) for way in set(ways)} == good, f"others have heard of orders in the order {sorted(set(ways))}")
    return Seen(f"others have heard of each order in the order of its events, {sum(map(len, ways))} messages, each once")


def _count(conn: Connection, placed: list[Placed]) -> dict[str, int]:
    return dict(conn.execute(_ENDED, ([p.order_id for p in placed],)).fetchall())


def _row(conn: Connection, query: str, *values: object) -> Any:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None  # noqa: S101 (one row by its form)
    return row
