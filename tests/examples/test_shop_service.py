"""The shop's service over HTTP, on a database of the test's own, as the role of production; by pgcharter's pytest plugin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from httpx import ASGITransport, AsyncClient, Response
from tests.conftest import ServerFactory
from tests.runtime.standby import PRIMARY, caught_up, standby_of

from pgcharter import examples
from pgcharter.db import connect, passwords
from pgcharter.examples import build
from pgcharter.examples.shop.service import application
from pgcharter.examples.shop.trade import CACHED, Trade
from pgcharter.runtime.cache import AsyncCache
from pgcharter.runtime.database import AsyncDatabase
from pgcharter.runtime.pages import Pager
from pgcharter.runtime.pools import PoolSize

KEY = "0123456789abcdef0123456789abcdef"
Ask = Callable[[AsyncClient], Coroutine[Any, Any, None]]


@pytest.fixture(scope="session")
def pg_schema() -> Path:
    return examples.folder("shop") / "migrations"


@pytest.fixture(scope="session")
def pg_role() -> str:
    return "shop_api"


class Shop:
    """A marketplace with a category, two products and two vendors with accounts; and another marketplace."""

    def __init__(self, owner: str, dsn: str, replica: str = "") -> None:
        self.dsn, self.replica = dsn, replica or dsn
        self.tenant, self.other = uuid4(), uuid4()
        with psycopg.connect(owner) as conn:
            self.make(conn, self.tenant, "NORTH")
            self.make(conn, self.other, "SOUTH")
            row = "SELECT {} FROM {} WHERE tenant_id = %s ORDER BY 1"
            self.products = [r[0] for r in conn.execute(row.format("product_id", "catalog.products"), (self.tenant,))]
            self.accounts = [r[0] for r in conn.execute(row.format("account_id", "sales.accounts"), (self.tenant,))]
            (self.category,) = [r[0] for r in conn.execute(row.format("category_id", "catalog.categories"), (self.tenant,))]
            self.user = conn.execute("SELECT user_id FROM identity.users WHERE tenant_id = %s LIMIT 1", (self.tenant,)).fetchone()[0]
        self.owner = owner

    @staticmethod
    def make(conn: psycopg.Connection[Any], tenant: UUID, code: str) -> None:
        conn.execute(
            "INSERT INTO identity.tenants (tenant_id, tenant_name, tenant_code, currency_code) VALUES (%s, %s, %s, 'EUR')",
            (tenant, code, code),
        )
        user, category = uuid4(), uuid4()
        conn.execute(
            "INSERT INTO identity.users (user_id, tenant_id, email, password_hash, first_name, last_name) "
            "VALUES (%s, %s, 'ada@example.org', '$x', 'Ada', 'L')",
            (user, tenant),
        )
        conn.execute("INSERT INTO catalog.categories (category_id, tenant_id, category_name) VALUES (%s, %s, 'Lamps')", (category, tenant))
        for number in (1, 2):
            vendor, product = uuid4(), uuid4()
            conn.execute(
                "INSERT INTO catalog.vendors (vendor_id, tenant_id, owner_user_id, vendor_name) VALUES (%s, %s, %s, %s)",
                (vendor, tenant, user, f"Vendor {number}"),
            )
            conn.execute(
                "INSERT INTO sales.accounts (tenant_id, vendor_id, currency_code, balance_amount) VALUES (%s, %s, 'EUR', 100)",
                (tenant, vendor),
            )
            conn.execute(
                "INSERT INTO catalog.products (product_id, tenant_id, vendor_id, category_id, sku, product_name, product_status, "
                "price_amount) VALUES (%s, %s, %s, %s, %s, %s, 'active', 9.50)",
                (product, tenant, vendor, category, f"L{number}", f"Copper lamp {number}"),
            )
            conn.execute(
                "INSERT INTO catalog.inventory_items (tenant_id, product_id, received_quantity) VALUES (%s, %s, 10)", (tenant, product)
            )

    def one(self, query: str, *values: object) -> Any:
        with psycopg.connect(self.owner) as conn:
            row = conn.execute(query.encode(), values).fetchone()
            assert row is not None
            return row[0]

    @asynccontextmanager
    async def client(self, tenant: UUID | None = None) -> AsyncIterator[AsyncClient]:
        db = AsyncDatabase(self.dsn, tenants=True, replicas=[self.replica], size=PoolSize(min=1, max=8))
        app = application(Trade(db, Pager([KEY]), AsyncCache(tables=CACHED, tenants=True)), KEY.encode())
        headers = {"X-Actor": "ada", "X-Tenant": str(tenant or self.tenant)}
        transport = ASGITransport(app)
        async with app.router.lifespan_context(app), AsyncClient(transport=transport, base_url="http://shop", headers=headers) as client:
            self.db = db
            yield client

    def basket(self, quantity: int = 1, product: int = 0) -> dict[str, Any]:
        line = {"product_id": str(self.products[product]), "quantity": quantity}
        return {"user_id": str(self.user), "shipping_city": "Graz", "lines": [line]}


@pytest.fixture
def shop(pg_database: Any) -> Shop:
    return Shop(pg_database.admin_dsn, pg_database.dsn)


def serve(shop: Shop, ask: Ask, tenant: UUID | None = None) -> None:
    """Ask a service that has just been started."""

    async def main() -> None:
        async with shop.client(tenant) as client:
            await ask(client)

    asyncio.run(main())


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": f"request-{name}"}


def placed(answer: Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_order_that_is_sent_twice_is_placed_once(shop: Shop) -> None:
    async def ask(client: AsyncClient) -> None:
        first, again = [placed(await client.post("/orders", json=shop.basket(3), headers=key("1"))) for _ in range(2)]
        assert first == again
        assert Decimal(first["total_amount"]) == Decimal("33.45")
        other = await client.post("/orders", json=shop.basket(2), headers=key("1"))
        assert other.status_code == 422

    serve(shop, ask)
    assert shop.one("SELECT count(*) FROM sales.orders") == 1
    assert shop.one("SELECT reserved_quantity FROM catalog.inventory_items WHERE product_id = %s", shop.products[0]) == 3


def test_nothing_is_sold_that_is_not_there(shop: Shop) -> None:
    async def ask(client: AsyncClient) -> None:
        answers = await asyncio.gather(*(client.post("/orders", json=shop.basket(2), headers=key(str(n))) for n in range(8)))
        assert sorted(a.status_code for a in answers) == [201] * 5 + [409] * 3

    serve(shop, ask)
    assert shop.one("SELECT available_quantity FROM catalog.inventory_items WHERE product_id = %s", shop.products[0]) == 0
    assert shop.one("SELECT count(*) FROM sales.orders") == 5


def test_orders_in_pages_each_once_and_of_one_tenant(shop: Shop) -> None:
    async def ask(client: AsyncClient) -> None:
        numbers = {placed(await client.post("/orders", json=shop.basket(1, n % 2), headers=key(str(n))))["order_number"] for n in range(7)}
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = (await client.get("/orders", params={"limit": 3, **({"cursor": cursor} if cursor else {})})).json()
            assert all(len(o["items"]) == 1 for o in page["orders"])
            found += [o["order_number"] for o in page["orders"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert len(found) == 7
        assert set(found) == numbers
        first = (await client.get("/orders", params={"limit": 3})).json()["next"]
        foreign = await client.get("/orders", params={"cursor": first}, headers={"X-Tenant": str(shop.other)})
        assert foreign.status_code == 400
        assert (await client.get("/orders", params={"cursor": first, "status": "paid"})).status_code == 400
        assert (await client.get("/orders", params={"cursor": first[:-2] + "xx"})).status_code == 400
        assert (await client.get("/orders", headers={"X-Tenant": str(shop.other)})).json()["orders"] == []
        assert (await client.get("/orders", headers={"X-Tenant": ""})).status_code == 401

    serve(shop, ask)


def test_money_moves_both_ways_at_once_and_none_is_lost(shop: Shop) -> None:
    one, two = map(str, shop.accounts)

    async def ask(client: AsyncClient) -> None:
        async def move(number: int) -> Response:
            source, target = (one, two) if number % 2 else (two, one)
            body = {"from_account_id": source, "to_account_id": target, "amount": "1.25"}
            return await client.post("/transfers", json=body, headers=key(str(number)))

        answers = await asyncio.gather(*(move(n) for n in range(24)))
        assert [a.status_code for a in answers] == [201] * 24
        body = {"from_account_id": one, "to_account_id": two, "amount": "100.01"}
        assert (await client.post("/transfers", json=body, headers=key("too much"))).status_code == 409
        missing = {**body, "to_account_id": str(uuid4())}
        assert (await client.post("/transfers", json=missing, headers=key("nobody"))).status_code == 404

    serve(shop, ask)
    assert shop.one("SELECT array_agg(balance_amount) FROM sales.accounts WHERE tenant_id = %s", shop.tenant) == [Decimal(100)] * 2
    assert shop.one("SELECT array_agg(version) FROM sales.accounts WHERE tenant_id = %s", shop.tenant) == [25, 25]
    assert shop.one("SELECT count(*) FROM sales.transfers") == 24


def test_the_catalogue_is_cached_and_never_shows_an_old_price(shop: Shop) -> None:
    path = f"/categories/{shop.category}/products"

    async def ask(client: AsyncClient) -> None:
        async def prices() -> list[str]:
            return [p["price_amount"] for p in (await client.get(path)).json()]

        assert await prices() == ["9.50", "9.50"]
        with psycopg.connect(shop.owner) as conn:
            conn.execute("UPDATE catalog.products SET price_amount = 1 WHERE product_id = %s", (shop.products[1],))
        assert await prices() == ["9.50", "9.50"], "it is cached: who writes past the service is not heard here"
        changed = await client.put(f"/products/{shop.products[0]}/price", json={"price_amount": "12.00"})
        assert changed.json()["price_amount"] == "12.00"
        assert sorted(await prices()) == ["1.00", "12.00"]
        assert (await client.get(path, headers={"X-Tenant": str(shop.other)})).json() == []
        assert (await client.put(f"/products/{uuid4()}/price", json={"price_amount": "12.00"})).status_code == 404

    serve(shop, ask)


def test_products_are_found_by_words(shop: Shop) -> None:
    async def ask(client: AsyncClient) -> None:
        found = (await client.get("/products", params={"q": "lamps copper"})).json()
        assert {p["product_id"] for p in found} == set(map(str, shop.products))
        assert (await client.get("/products", params={"q": "lamp -copper"})).json() == []

    serve(shop, ask)


def test_who_has_ordered_sees_the_order_on_a_replica_too(server: ServerFactory) -> None:
    """Replay is held up again and again: what only reads goes to the replica where that has the order, else to the primary."""
    primary = server(settings=PRIMARY)
    with psycopg.connect(primary.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    owner = primary.dsn("shop")
    with connect(owner) as conn:
        build.install(conn)
        build.build(conn, build.read_files(examples.folder("shop"), ["migrations"]))
        with conn.transaction():
            passwords.store(conn, "shop_api", passwords.verifier(conn, "shop_api", "secret"))
    with standby_of(primary) as standby:
        shop = Shop(owner, primary.dsn("shop", "shop_api", "secret"), standby.dsn("shop", "shop_api", "secret"))
        caught_up(primary, standby)

        async def ask(client: AsyncClient) -> None:
            with psycopg.connect(standby.dsn(), autocommit=True) as conn:
                for number in range(12):
                    conn.execute(f"SELECT pg_wal_replay_{'pause' if number % 2 else 'resume'}()".encode())
                    new = placed(await client.post("/orders", json=shop.basket(1, number % 2), headers=key(str(number))))
                    if not number % 2:
                        caught_up(primary, standby)
                    seen = (await client.get("/orders", params={"limit": 1})).json()["orders"]
                    assert seen[0]["order_number"] == new["order_number"]
            router = shop.db.router
            assert router is not None
            assert router.counts.replica >= 6, router.counts
            assert router.counts.primary >= 6, router.counts

        serve(shop, ask)
