"""The part of the walk that serves: an order asked for three times, money moved both ways at once, all orders in pages, a cached price."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from pgcharter.examples.walk import Seen, hold
from pgcharter.runtime.context import context

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.examples.shop.trade import Basket, Trade

AT_ONCE, TRANSFERS, READS, PAGE, PAGES = 8, 40, 1000, 50, 40
_PRODUCT = """
SELECT p.product_id, p.category_id, p.price_amount, o.user_id
FROM catalog.products AS p JOIN catalog.inventory_items AS i USING (product_id)
CROSS JOIN LATERAL (SELECT user_id FROM sales.orders WHERE tenant_id = p.tenant_id LIMIT 1) AS o
WHERE p.tenant_id = %s AND p.product_status = 'active' AND p.deleted_at IS NULL AND i.available_quantity > 2
ORDER BY p.product_id LIMIT 1
"""


def served(conn: Connection, dsn: str, tenant: UUID) -> Iterator[Seen]:
    """Try the service's business as the application, and put back what was changed; `conn` is the superuser's."""

    async def all_of_it() -> list[Seen]:
        return [seen async for seen in _served(conn, dsn, tenant)]

    with context(tenant=tenant, actor="the walk"):
        yield from asyncio.run(all_of_it())


async def _served(conn: Connection, dsn: str, tenant: UUID) -> AsyncIterator[Seen]:
    from pgcharter.examples.shop.trade import CACHED, Basket, Line, Trade
    from pgcharter.runtime.cache import AsyncCache
    from pgcharter.runtime.database import AsyncDatabase
    from pgcharter.runtime.pages import Pager
    from pgcharter.runtime.pools import PoolSize

    row = conn.execute(_PRODUCT, (tenant,)).fetchone()
    assert row is not None  # noqa: S101 (the fill has thousands)
    product, category, price, user = row
    async with (
        AsyncDatabase(dsn, application="pgcharter walk", tenants=True, size=PoolSize(min=1, max=AT_ONCE)) as db,
        AsyncCache(tables=CACHED, tenants=True) as cache,
    ):
        trade = Trade(db, Pager([uuid4().hex], most=PAGE), cache)
        yield await _once(conn, trade, Basket(user, "Nowhere", (Line(product, 2),)))
        yield await _moved(conn, trade, tenant)
        yield await _paged(trade)
        yield await _cached(trade, category, product, price)


async def _once(conn: Connection, trade: Trade, basket: Basket) -> Seen:
    request, line = f"walk-{uuid4()}", basket.lines[0]
    try:
        answers = await asyncio.gather(*(trade.place(basket, request) for _ in range(3)))
        placed = _one(conn, "SELECT count(*) FROM sales.orders WHERE shipping_city = 'Nowhere'")
        hold(placed == 1 and len(set(answers)) == 1, f"an order asked for three times was placed {placed} times")
    finally:
        with conn.transaction():
            gone = conn.execute("DELETE FROM sales.orders WHERE shipping_city = 'Nowhere'").rowcount
            conn.execute(
                "UPDATE catalog.inventory_items SET reserved_quantity = reserved_quantity - %s WHERE product_id = %s",
                (gone * line.quantity, line.product_id),
            )
            conn.execute("DELETE FROM pgcharter.idempotency_keys WHERE key = %s", (request,))
    return Seen(f"the same order, sent three times at once under one key, is placed once: {answers[0].order_number} answers all three")


async def _moved(conn: Connection, trade: Trade, tenant: UUID) -> Seen:
    query = "SELECT account_id, balance_amount FROM sales.accounts WHERE tenant_id = %s ORDER BY account_id LIMIT 2"
    (one, before), (two, _) = conn.execute(query, (tenant,)).fetchall()
    request, began = f"walk-{uuid4()}", time.monotonic()
    try:
        ways = ((one, two) if n % 2 else (two, one) for n in range(TRANSFERS))
        await asyncio.gather(*(trade.transfer(a, b, Decimal(1), f"{request}-{n}") for n, (a, b) in enumerate(ways)))
        seconds = time.monotonic() - began
        after = conn.execute(query, (tenant,)).fetchall()[0][1]
        hold(after == before, f"{TRANSFERS} transfers, as many each way, made {after} of {before}")
    finally:
        with conn.transaction():
            conn.execute("DELETE FROM sales.transfers WHERE %s IN (from_account_id, to_account_id) AND amount = 1", (one,))
            conn.execute("DELETE FROM pgcharter.idempotency_keys WHERE key LIKE %s", (f"{request}-%",))
    again = trade.db.counts.tried_again
    return Seen(
        f"{TRANSFERS} transfers between two accounts, both ways, {AT_ONCE} at a time: done in {seconds:.2f} s, not a cent lost, "
        f"no deadlock ({again} tried again)"
    )


async def _paged(trade: Trade) -> Seen:
    pages: list[list[str]] = []
    times: list[float] = []
    cursor = back = None
    while len(pages) < PAGES and (not pages or cursor is not None):
        began = time.perf_counter()
        page = await trade.orders(cursor, limit=PAGE)
        times.append(time.perf_counter() - began)
        pages.append([order.order_number for order in page])
        cursor, back = page.next, page.previous
    for shown in pages[-2::-1]:
        page = await trade.orders(back, limit=PAGE)
        hold([order.order_number for order in page] == shown, "a page shows other orders on the way back")
        back = page.previous
    numbers = [number for page in pages for number in page]
    hold(len(set(numbers)) == len(numbers), "an order is on two pages")
    first, last = (1000 * min(part) for part in (times[:5], times[-5:]))
    return Seen(
        f"{len(numbers):,} orders with their items in {len(pages)} pages, there and back, each order once: "
        f"the first pages took {first:.1f} ms, the last ones {last:.1f} ms"
    )


async def _cached(trade: Trade, category: UUID, product: UUID, price: Decimal) -> Seen:
    async def shown() -> Any:
        return next(p.price_amount for p in await trade.catalogue(category) if p.product_id == product)

    for _ in range(READS // AT_ONCE):
        await asyncio.gather(*(shown() for _ in range(AT_ONCE)))
    loads = trade.cache.metrics.loads
    try:
        await trade.reprice(product, price + 1)
        now = await shown()
        hold(now == price + 1, f"the catalogue shows {now} after the price was changed to {price + 1}")
    finally:
        await trade.reprice(product, price)
    asked = "once" if loads == 1 else f"{loads} times"
    return Seen(
        f"a page of the catalogue, read {READS:,} times, was asked of PostgreSQL {asked}; "
        "after a price had changed, the next reader saw the new one"
    )


def _one(conn: Connection, query: str, *values: object) -> Any:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None  # noqa: S101 (one row by its form)
    return row[0]
