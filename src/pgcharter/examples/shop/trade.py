"""What the shop's service does, without HTTP: lists and places orders, moves money, finds products.

Each function is a unit of work of `pgcharter.runtime`: it begins for the tenant of the context, is tried again whole when the server asks
for it, and what only reads goes to a replica that has seen what the caller wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from pgcharter.errors import PgcharterError
from pgcharter.examples.shop.models import Account, Order, OrderItem, Product, Transfer
from pgcharter.runtime.cache import AsyncCache
from pgcharter.runtime.database import AsyncDatabase
from pgcharter.runtime.idempotency import Key
from pgcharter.runtime.locks import lock_rows
from pgcharter.runtime.models_uuid import uuid7
from pgcharter.runtime.pages import Page, Pager
from pgcharter.runtime.work import AsyncWork

SHIPPING, FREE_FROM = Decimal("4.95"), Decimal(100)
CACHED = {"catalog.products": "products"}
"""Tables and the tags of what is cached of them."""
_RESERVE = """
WITH wanted AS (SELECT * FROM unnest(%s::uuid[], %s::integer[]) AS w (product_id, quantity)),
locked AS (
    SELECT i.product_id, w.quantity FROM catalog.inventory_items AS i JOIN wanted AS w USING (product_id)
    WHERE i.available_quantity >= w.quantity ORDER BY i.product_id FOR NO KEY UPDATE OF i
)
UPDATE catalog.inventory_items AS i SET reserved_quantity = i.reserved_quantity + l.quantity
FROM locked AS l WHERE i.product_id = l.product_id AND i.available_quantity >= l.quantity
RETURNING i.product_id
"""
"""Takes stock only where there is enough, in the order of keys, in one statement: nobody reads first and writes later."""


class NotFoundError(PgcharterError):
    """There is no such thing, or it is another tenant's."""


class SoldOutError(PgcharterError):
    """There is not enough in stock of something that was ordered."""


class TooLittleMoneyError(PgcharterError):
    """An account holds less than is to leave it."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is ordered of a product."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Basket:
    """What somebody orders."""

    user_id: UUID
    shipping_city: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """What becomes of a basket."""

    order_id: UUID
    order_number: str
    total_amount: Decimal
    currency_code: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What becomes of a transfer."""

    transfer_id: UUID
    from_balance: Decimal
    to_balance: Decimal


@dataclass(frozen=True, slots=True)
class Found:
    """A product among those that were looked for."""

    product_id: UUID
    product_name: str
    price_amount: Decimal


class Trade:
    """The shop's business on a database."""

    def __init__(self, db: AsyncDatabase, pager: Pager, cache: AsyncCache) -> None:
        self.db = db
        self.pager = pager
        self.cache = cache
        self.catalogue = cache.cached(ttl=300, tags=("products",), name="catalogue")(self._catalogue)
        """Products of a category that can be ordered, by name; from the cache until a unit of work has written products."""
        db.watch(cache.watched_tables, cache.written)

    async def orders(self, cursor: str | None = None, *, status: str | None = None, limit: int | None = None) -> Page[Order]:
        """A page of the tenant's orders, latest first, with their items. Raises CursorError for a cursor that cannot be used."""
        query = select(Order).order_by(Order.created_at.desc()).options(selectinload(Order.items))
        if status is not None:
            query = query.where(Order.order_status == status)

        async def read(work: AsyncWork) -> Page[Order]:
            return await self.pager.async_page(work.session, query, cursor, limit=limit)

        return await self.db.run(read, readonly=True)

    async def place(self, basket: Basket, request: str) -> Placed:
        """Place an order. The same `request` again gets the same answer, and nothing is done twice.

        Raises SoldOutError and NotFoundError; OtherRequestError where `request` was another basket.
        """

        async def work_on(work: AsyncWork) -> Placed:
            placed = await self.written(work, basket)
            await _reserve(work, basket.lines)
            return placed

        return await self.db.run(work_on, idempotency=Key("place-order", request, basket, Placed))

    async def written(self, work: AsyncWork, basket: Basket) -> Placed:
        """Write an order with its items into the open unit of work. Raises NotFoundError."""
        prices = await _prices(work, basket.lines)
        amount = sum((prices[line.product_id] * line.quantity for line in basket.lines), Decimal(0))
        order = Order(
            order_id=uuid7(),
            user_id=basket.user_id,
            order_number="",
            order_status="pending_payment",
            currency_code=await _currency(work),
            items_amount=amount,
            shipping_amount=Decimal(0) if amount >= FREE_FROM else SHIPPING,
            shipping_city=basket.shipping_city,
        )
        order.order_number = f"WEB-{order.order_id.hex[-20:].upper()}"
        order.items = [
            OrderItem(line_number=n, product_id=line.product_id, quantity=line.quantity, unit_price_amount=prices[line.product_id])
            for n, line in enumerate(basket.lines, 1)
        ]
        work.session.add(order)
        await work.session.flush()
        return Placed(order.order_id, order.order_number, order.items_amount + order.shipping_amount, order.currency_code)

    async def transfer(self, source: UUID, target: UUID, amount: Decimal, request: str) -> Moved:
        """Move money from one account to another: both are locked in the order of their keys, so that no two transfers wait for each other.

        Raises TooLittleMoneyError, NotFoundError; OtherRequestError where `request` was another transfer.
        """

        async def work_on(work: AsyncWork) -> Moved:
            held = await lock_rows.aio(work.session, Account, [source, target], missing_ok=True)
            if len(held) < 2:
                raise NotFoundError(f"there is no account {source if source not in held else target}")
            found = {a.account_id: a for a in await work.session.scalars(select(Account).where(Account.account_id.in_((source, target))))}
            if found[source].balance_amount < amount:
                raise TooLittleMoneyError(f"account {source} holds {found[source].balance_amount}, and {amount} is to leave it")
            found[source].balance_amount -= amount
            found[target].balance_amount += amount
            transfer = Transfer(transfer_id=uuid7(), from_account_id=source, to_account_id=target, amount=amount)
            work.session.add(transfer)
            await work.session.flush()
            return Moved(transfer.transfer_id, found[source].balance_amount, found[target].balance_amount)

        return await self.db.run(work_on, idempotency=Key("transfer", request, (source, target, amount), Moved))

    async def _catalogue(self, category_id: UUID) -> list[Found]:
        query = (
            select(Product.product_id, Product.product_name, Product.price_amount)
            .where(Product.category_id == category_id, Product.product_status == "active")
            .order_by(Product.product_name, Product.product_id)
        )

        async def read(work: AsyncWork) -> list[Found]:
            return [Found(*row) for row in await work.session.execute(query)]

        return await self.db.run(read)

    async def reprice(self, product_id: UUID, price: Decimal) -> Found:
        """Change a price; once it is committed nobody finds the old one in the catalogue. Raises NotFoundError."""

        async def work_on(work: AsyncWork) -> Found:
            product = await work.session.get(Product, product_id)
            if product is None:
                raise NotFoundError(f"there is no product {product_id}")
            product.price_amount = price
            return Found(product_id, product.product_name, price)

        return await self.db.run(work_on)

    async def search(self, words: str, limit: int = 20) -> list[Found]:
        """Products by words of their names and descriptions, best first."""
        asked = func.websearch_to_tsquery("english", words)
        query = (
            select(Product.product_id, Product.product_name, Product.price_amount)
            .where(Product.search_vector.op("@@")(asked), Product.product_status == "active")
            .order_by(func.ts_rank(Product.search_vector, asked).desc(), Product.product_id)
            .limit(limit)
        )

        async def read(work: AsyncWork) -> list[Found]:
            return [Found(*row) for row in await work.session.execute(query)]

        return await self.db.run(read, readonly=True)


async def _prices(work: AsyncWork, lines: Sequence[Line]) -> dict[UUID, Decimal]:
    wanted = {line.product_id for line in lines}
    query = select(Product.product_id, Product.price_amount).where(Product.product_id.in_(wanted), Product.product_status == "active")
    found: dict[UUID, Decimal] = {row[0]: row[1] for row in await work.session.execute(query)}
    if missing := wanted - found.keys():
        raise NotFoundError(f"there is no product {min(missing)} that can be ordered")
    return found


async def _reserve(work: AsyncWork, lines: Sequence[Line]) -> None:
    wanted: dict[UUID, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    cursor = await work.conn.execute(_RESERVE, (list(wanted), list(wanted.values())))
    taken: set[Any] = {row[0] for row in await cursor.fetchall()}
    if short := wanted.keys() - taken:
        raise SoldOutError(f"there is not enough of product {min(short)} in stock")


async def _currency(work: AsyncWork) -> str:
    cursor = await work.conn.execute("SELECT currency_code FROM identity.tenants")
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError("there is no such marketplace")
    return str(row[0])
