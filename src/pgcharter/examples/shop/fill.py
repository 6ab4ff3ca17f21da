"""Fills the shop: tenants, vendors and products first, then customers and orders batch by batch."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pgcharter.examples.shop import orders
from pgcharter.examples.shop.data import World

if TYPE_CHECKING:
    from pgcharter.db import Connection

NAME = "shop"
UNIT = "orders"
TOTAL = 100_000
STEP = 5_000
VERSION = 3

_COLUMNS = {
    "identity.tenants": "tenant_id, tenant_name, tenant_code, currency_code, created_at, updated_at",
    "identity.users": "user_id, tenant_id, email, password_hash, first_name, last_name, phone_number, date_of_birth, user_role, "
    "is_email_verified, created_at, updated_at",
    "catalog.vendors": "vendor_id, tenant_id, owner_user_id, vendor_name, vendor_status, commission_rate, created_at, updated_at",
    "catalog.categories": "category_id, tenant_id, parent_category_id, category_name, created_at, updated_at",
    "catalog.products": "product_id, tenant_id, vendor_id, category_id, sku, product_name, description, product_status, price_amount, "
    "weight_kg, created_at, updated_at",
    "sales.accounts": "account_id, tenant_id, vendor_id, currency_code, balance_amount, created_at, updated_at",
    "catalog.inventory_items": "inventory_item_id, tenant_id, product_id, received_quantity, created_at, updated_at",
    "sales.orders": "order_id, tenant_id, user_id, order_number, order_status, currency_code, items_amount, shipping_amount, "
    "shipping_city, created_at, updated_at",
    "sales.order_items": "order_item_id, tenant_id, order_id, line_number, product_id, quantity, unit_price_amount, created_at, updated_at",
    "sales.payments": "payment_id, tenant_id, order_id, payment_method, payment_status, amount, currency_code, provider_reference, "
    "captured_at, created_at, updated_at",
}
_STOCK = """
UPDATE catalog.inventory_items AS i
SET reserved_quantity = i.reserved_quantity + d.reserved,
    shipped_quantity = i.shipped_quantity + d.shipped,
    received_quantity = greatest(
        i.received_quantity, ((i.reserved_quantity + d.reserved + i.shipped_quantity + d.shipped + 49) / 50 + 1) * 50
    )
FROM unnest(%s::uuid[], %s::integer[], %s::integer[]) AS d (product_id, reserved, shipped)
WHERE i.product_id = d.product_id
"""
_RECORDED = ("identity.users", "sales.payments")
"""Tables whose changes are on record. What is loaded here was changed by nobody: their trail begins with the first change, and so do the
events of orders."""


@dataclass(frozen=True)
class _Batch:
    first: int
    last: int
    texts: tuple[tuple[str, str], ...]
    """Table and its rows as text for COPY, in the order in which foreign keys allow to load them."""
    stock: tuple[list[str], list[int], list[int]]
    """Products, and how many units of each are reserved and shipped."""


@cache
def _world() -> World:
    return World()


@cache
def _worker() -> ThreadPoolExecutor:
    """One thread, which writes the next batch while PostgreSQL works on this one; nothing else touches the world's customers."""
    return ThreadPoolExecutor(1)


_ahead: dict[tuple[int, int], Future[_Batch]] = {}


def begin(conn: Connection) -> None:
    """Load what orders refer to."""
    for table, lines in _world().base.lines.items():
        _copy(conn, table, "".join(lines))


def load(conn: Connection, first: int, last: int) -> None:
    """Load orders `first` to `last` - 1 and the customers who have come by then."""
    future = _ahead.pop((first, last), None) or _worker().submit(_prepare, first, last)
    _ahead.clear()
    batch = future.result()
    following = (last, last + (last - first))
    _ahead[following] = _worker().submit(_prepare, *following)
    _record(conn, "DISABLE")
    for table, text in batch.texts:
        _copy(conn, table, text)
    _record(conn, "ENABLE ALWAYS")
    conn.execute(_STOCK, batch.stock)


def _prepare(first: int, last: int) -> _Batch:
    world = _world()
    known = world.customers_before(first) if first else 0
    customers = "".join(world.customers(known, world.customers_before(last)))
    batch = orders.batch(world, first, last)
    products = list(batch.reserved | batch.shipped)
    stock = (products, [batch.reserved.get(p, 0) for p in products], [batch.shipped.get(p, 0) for p in products])
    texts = [("identity.users", customers), *((table, "".join(lines)) for table, lines in batch.tables())]
    return _Batch(first, last, tuple(texts), stock)


def _record(conn: Connection, how: str) -> None:
    """Turn the audit of `_RECORDED` off or on, in the transaction of the batch: nobody else ever sees it off."""
    for table in _RECORDED:
        conn.execute(f'ALTER TABLE {table} {how} TRIGGER "0_pgcharter_audit"'.encode())


def finish(conn: Connection) -> None:
    """Bring the planner's statistics and the daily summary up to date."""
    conn.execute("REFRESH MATERIALIZED VIEW platform.daily_sales")
    conn.execute("ANALYZE")


def _copy(conn: Connection, table: str, text: str) -> None:
    if text:
        with conn.cursor().copy(f"COPY {table} ({_COLUMNS[table]}) FROM STDIN") as copy:
            copy.write(text)
