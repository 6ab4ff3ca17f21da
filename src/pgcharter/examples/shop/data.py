"""Plausible rows for the shop, the same for the same seed and number whatever the size of the batches.

Everything is text for COPY. Customer k and order i depend on nothing but the seed and their own number, so a fill can stop after any
order and go on later, also to a larger number than was first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from pgcharter.examples.shop import words

SEED = 20261120
CHUNK = 500
"""Orders that share one random generator. Each chunk covers the whole window, in order of time."""
START = date(2026, 1, 1)
DAYS = 318
"""The window in which orders are placed: from `START`, this many days."""
FIRST_CUSTOMERS = 40
ORDERS_PER_CUSTOMER = 10
VENDORS_PER_TENANT = 15
PRODUCTS_PER_TENANT = 500

_DAY = 86_400
_WINDOW = DAYS * _DAY
_DATES = tuple((START + timedelta(days=d - 400)).isoformat() for d in range(900))
_EPOCH = (START - date(1970, 1, 1)).days * _DAY
_SHARE = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3)
"""Tenant of customer k: half of them belong to the first."""


def stamp(second: int) -> str:
    """Second `second` of the window as text for a timestamptz."""
    day, rest = divmod(second, _DAY)
    hour, rest = divmod(rest, 3600)
    return f"{_DATES[day + 400]} {hour:02d}:{rest // 60:02d}:{rest % 60:02d}+00"


def uuid7(second: int, bits: int) -> str:
    """A UUID of version 7 (RFC 9562) for a second of the window and 74 random bits, as 32 hexadecimal digits."""
    milliseconds = (_EPOCH + second) * 1000 + (bits & 0x3FF) % 1000
    return f"{milliseconds << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & 0x3FFFFFFFFFFFFFFF:032x}"


def money(cents: int) -> str:
    """`cents` as text for a numeric(…, 2)."""
    return f"{cents // 100}.{cents % 100:02d}"


@dataclass
class Rows:
    """Lines for COPY by table, in the order in which they must be loaded."""

    lines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, table: str, line: str) -> None:
        """Add one line; its end is added when it is missing."""
        self.lines.setdefault(table, []).append(line if line.endswith("\n") else line + "\n")


@dataclass(frozen=True)
class Product:
    """What an order needs to know of a product."""

    id: str
    cents: int


def _person(rng: Random, number: int) -> tuple[str, str, str]:
    first = words.FIRST_NAMES[int(rng.random() * len(words.FIRST_NAMES))]
    last = words.LAST_NAMES[int(rng.random() * len(words.LAST_NAMES))]
    return first, last, f"{first}.{last}{number}@{words.MAIL_DOMAINS[number % 3]}".lower()


def _user(rng: Random, tenant: str, user: str, number: int, role: str, second: int) -> str:
    first, last, mail = _person(rng, number)
    phone = f"+1{2_000_000_000 + int(rng.random() * 7_999_999_999)}" if rng.random() < 0.6 else r"\N"
    born = f"{1945 + int(rng.random() * 60)}-{1 + int(rng.random() * 12):02d}-{1 + int(rng.random() * 28):02d}"
    password = f"$argon2id$v=19$m=19456,t=2,p=1${rng.getrandbits(96):024x}${rng.getrandbits(192):048x}"
    verified = "t" if rng.random() < 0.9 else "f"
    at = stamp(second)
    return (
        "\t".join((user, tenant, mail, password, first, last, phone, born if rng.random() < 0.5 else r"\N", role, verified, at, at)) + "\n"
    )


class World:
    """Tenants, vendors, products and customers: what orders refer to."""

    def __init__(self) -> None:
        rng = Random(SEED)  # noqa: S311 (not for secrets: the same every time is the point)
        self.base = Rows()
        self.tenants = [uuid7(-380 * _DAY, rng.getrandbits(74)) for _ in words.TENANTS]
        self.products: list[list[Product]] = []
        self._customers: list[str] = []
        self._money = Random(SEED + 2)  # noqa: S311
        self._people = Random(SEED + 1)  # noqa: S311
        for number, (name, code, currency) in enumerate(words.TENANTS):
            at = stamp(-380 * _DAY)
            self.base.add("identity.tenants", "\t".join((self.tenants[number], name, code, currency, at, at)))
        for number in range(len(words.TENANTS)):
            self._staff(rng, number)
            self.products.append(self._assortment(rng, number, self._vendors(rng, number)))

    def _staff(self, rng: Random, tenant: int) -> None:
        for number, role in enumerate(("admin", "support")):
            user = uuid7(-379 * _DAY, rng.getrandbits(74))
            self.base.add("identity.users", _user(rng, self.tenants[tenant], user, 900_000_000 + number, role, -379 * _DAY))

    def _vendors(self, rng: Random, tenant: int) -> list[str]:
        vendors = []
        for number in range(VENDORS_PER_TENANT):
            second = -int(rng.random() * 100 + 270) * _DAY
            owner, vendor = uuid7(second, rng.getrandbits(74)), uuid7(second, rng.getrandbits(74))
            self.base.add("identity.users", _user(rng, self.tenants[tenant], owner, 910_000_000 + number, "vendor", second))
            place = tenant * VENDORS_PER_TENANT + number
            name = f"{words.SHOP_WORDS[place % len(words.SHOP_WORDS)]} {words.SHOP_KINDS[place // len(words.SHOP_WORDS) % 5]}"
            rate = f"0.{5 + int(rng.random() * 11):02d}00"
            at = stamp(second)
            self.base.add("catalog.vendors", "\t".join((vendor, self.tenants[tenant], owner, name, "approved", rate, at, at)))
            vendors.append(vendor)
            account = uuid7(second, self._money.getrandbits(74))
            balance = money(self._money.randrange(50_000, 5_000_000))
            currency = words.TENANTS[tenant][2]
            self.base.add("sales.accounts", "\t".join((account, self.tenants[tenant], vendor, currency, balance, at, at)))
        return vendors

    def _assortment(self, rng: Random, tenant: int, vendors: list[str]) -> list[Product]:
        shelves = []
        at = stamp(-378 * _DAY)
        for department, categories in words.CATEGORIES.items():
            parent = uuid7(-378 * _DAY, rng.getrandbits(74))
            self.base.add("catalog.categories", "\t".join((parent, self.tenants[tenant], r"\N", department, at, at)))
            for name, (things, low, high, grams) in categories.items():
                category = uuid7(-378 * _DAY, rng.getrandbits(74))
                self.base.add("catalog.categories", "\t".join((category, self.tenants[tenant], parent, name, at, at)))
                shelves += [(category, thing.replace("-", " "), low, high, grams) for thing in things.split()]
        return [self._product(rng, tenant, number, vendors, shelves) for number in range(PRODUCTS_PER_TENANT)]

    def _product(self, rng: Random, tenant: int, number: int, vendors: list[str], shelves: list[tuple[str, str, int, int, int]]) -> Product:
        second = -int(rng.random() * 200 + 60) * _DAY
        category, thing, low, high, grams = shelves[int(rng.random() * len(shelves))]
        adjective = words.ADJECTIVES[int(rng.random() * len(words.ADJECTIVES))]
        material = words.MATERIALS[int(rng.random() * len(words.MATERIALS))]
        cents = (low + int(rng.random() ** 2 * (high - low))) // 100 * 100 + 95
        product = Product(uuid7(second, rng.getrandbits(74)), cents)
        text = f"{adjective} {thing.lower()} made of {material.lower()}; ships within {1 + int(rng.random() * 5)} days."
        weight = f"{grams * (0.5 + rng.random()) / 1000:.3f}"
        at = stamp(second)
        sku = f"{words.TENANTS[tenant][1]}-{number + 1:05d}"
        head = (product.id, self.tenants[tenant], vendors[int(rng.random() * len(vendors))], category, sku)
        self.base.add(
            "catalog.products", "\t".join((*head, f"{adjective} {material} {thing}", text, "active", money(cents), weight, at, at))
        )
        stock = (uuid7(second, rng.getrandbits(74)), self.tenants[tenant], product.id, str(100 + int(rng.random() * 400)), at, at)
        self.base.add("catalog.inventory_items", "\t".join(stock))
        return product

    def customers(self, first: int, last: int) -> Iterator[str]:
        """Lines of the customers numbered `first` to `last` - 1."""
        for number in range(first, last):
            rng = Random(SEED * 7 + number)  # noqa: S311
            yield _user(rng, self.tenants[_SHARE[number % 20]], self.customer(number), number + 1, "customer", self._joined(number))

    def customer(self, number: int) -> str:
        """Identifier of customer `number`."""
        while len(self._customers) <= number:
            self._customers.append(uuid7(self._joined(len(self._customers)), self._people.getrandbits(74)))
        return self._customers[number]

    @staticmethod
    def _joined(number: int) -> int:
        return -(2 + number * 7919 % 360) * _DAY + number * 104_729 % _DAY

    @staticmethod
    def customers_before(order: int) -> int:
        """How many customers there are when order `order` is placed."""
        return FIRST_CUSTOMERS + order // ORDERS_PER_CUSTOMER


def tenant_of(customer: int) -> int:
    """Number of the tenant a customer belongs to."""
    return _SHARE[customer % 20]
