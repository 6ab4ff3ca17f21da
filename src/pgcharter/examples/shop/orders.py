"""Orders of the shop with everything that hangs on them: items, payments, and what they take out of stock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from pgcharter.examples.shop import words
from pgcharter.examples.shop.data import _DAY, _WINDOW, CHUNK, SEED, Product, World, money, stamp, tenant_of, uuid7

_ITEMS = (1,) * 45 + (2,) * 28 + (3,) * 15 + (4,) * 8 + (5,) * 4
_NEW = ("pending_payment",) * 10 + ("draft",) * 4 + ("paid",) * 46 + ("processing",) * 30 + ("cancelled",) * 10
"""Statuses of orders of the last three days, in percent."""
_RECENT = ("shipped",) * 70 + ("delivered",) * 20 + ("processing",) * 4 + ("cancelled",) * 6
"""Of the last ten."""
_OLD = ("delivered",) * 91 + ("cancelled",) * 6 + ("refunded",) * 3
_RESERVED = frozenset({"paid", "processing"})
_SHIPPED = frozenset({"shipped", "delivered"})
_PAID = _RESERVED | _SHIPPED | {"refunded"}


@dataclass
class Batch:
    """Rows of a run of orders."""

    orders: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    payments: list[str] = field(default_factory=list)
    reserved: dict[str, int] = field(default_factory=dict)
    """Units by product."""
    shipped: dict[str, int] = field(default_factory=dict)

    def tables(self) -> Iterator[tuple[str, list[str]]]:
        """Tables and their lines in the order in which foreign keys allow to load them."""
        yield "sales.orders", self.orders
        yield "sales.order_items", self.items
        yield "sales.payments", self.payments


def batch(world: World, first: int, last: int) -> Batch:
    """Orders numbered `first` to `last` - 1 (from 0)."""
    rows = Batch()
    for chunk in range(first // CHUNK, (last - 1) // CHUNK + 1):
        rng = Random(SEED * 13 + chunk)  # noqa: S311
        begin = chunk * CHUNK
        skipped = Batch()
        for number in range(begin, min(begin + CHUNK, last)):
            _order(world, rng, number, rows if number >= first else skipped)
    return rows


def _order(world: World, rng: Random, number: int, rows: Batch) -> None:
    draw = rng.random
    second = int((number % CHUNK + draw()) / CHUNK * _WINDOW)
    customer = int(draw() ** 1.5 * world.customers_before(number))
    tenant = tenant_of(customer)
    status = _status(draw, second)
    order = uuid7(second, rng.getrandbits(74))
    tenant_id = world.tenants[tenant]
    total = _items(rng, rows, world.products[tenant], tenant_id, order, second, status)
    shipping = 0 if total >= 10_000 else 495
    currency = words.TENANTS[tenant][2]
    history = _history(rng, status, second)
    changed = stamp(history[-1][1]) if history else stamp(second)
    at = stamp(second)
    code = f"{words.TENANTS[tenant][1]}-{at[2:4]}{at[5:7]}{at[8:10]}-{number + 1:06d}"
    city = words.CITIES[int(draw() * len(words.CITIES))]
    rows.orders.append(
        f"{order}\t{tenant_id}\t{world.customer(customer)}\t{code}\t{status}\t{currency}\t{money(total)}\t{money(shipping)}\t{city}\t{at}\t{changed}\n"
    )
    _payments(rng, rows, tenant_id, order, second, status, money(total + shipping), currency)


def _status(draw: Callable[[], float], second: int) -> str:
    age = _WINDOW - second
    share = int(draw() * 100)
    return (_NEW if age < 3 * _DAY else _RECENT if age < 10 * _DAY else _OLD)[share]


def _items(rng: Random, rows: Batch, products: list[Product], tenant: str, order: str, second: int, status: str) -> int:
    total = 0
    at = stamp(second)
    taken = rows.reserved if status in _RESERVED else rows.shipped if status in _SHIPPED else None
    for line in range(1, _ITEMS[int(rng.random() * 100)] + 1):
        product = products[int(rng.random() ** 2 * len(products))]
        draw = rng.random()
        quantity = 1 if draw < 0.75 else 2 if draw < 0.93 else 3
        cents = product.cents * 9 // 10 if draw > 0.96 else product.cents
        total += quantity * cents
        item = uuid7(second, rng.getrandbits(74))
        rows.items.append(f"{item}\t{tenant}\t{order}\t{line}\t{product.id}\t{quantity}\t{money(cents)}\t{at}\t{at}\n")
        if taken is not None:
            taken[product.id] = taken.get(product.id, 0) + quantity
    return total


def _history(rng: Random, status: str, second: int) -> list[tuple[str, int]]:
    """What happened to an order, and when."""
    if status == "draft":
        return []
    history = [("OrderPlaced", second)]
    if status in _PAID:
        history.append(("PaymentCaptured", second + 30 + int(rng.random() * 600)))
    if status in _SHIPPED or status == "refunded":
        history.append(("OrderShipped", second + _DAY // 4 + int(rng.random() * 2 * _DAY)))
    if status == "cancelled":
        history.append(("OrderCancelled", second + 900 + int(rng.random() * _DAY)))
    elif status == "refunded":
        history.append(("OrderRefunded", second + 4 * _DAY + int(rng.random() * 8 * _DAY)))
    return history


def _payments(rng: Random, rows: Batch, tenant: str, order: str, second: int, status: str, amount: str, currency: str) -> None:
    method = words.PAYMENT_METHODS[int(rng.random() ** 1.6 * len(words.PAYMENT_METHODS))]
    if status in ("pending_payment", "cancelled") or rng.random() < 0.03:
        outcome = "pending" if status == "pending_payment" else "failed"
        _payment(rng, rows, (tenant, order, method, outcome, amount, currency), second + 10, captured=False)
    if status in _PAID:
        outcome = "refunded" if status == "refunded" else "captured"
        _payment(rng, rows, (tenant, order, method, outcome, amount, currency), second + 25, captured=True)


def _payment(rng: Random, rows: Batch, head: tuple[str, str, str, str, str, str], second: int, *, captured: bool) -> None:
    bits = rng.getrandbits(74)
    at = stamp(second)
    done = stamp(second + 4) if captured else r"\N"
    columns = "\t".join(head)
    rows.payments.append(f"{uuid7(second, bits)}\t{columns}\tpay_{bits:019x}\t{done}\t{at}\t{done if captured else at}\n")
