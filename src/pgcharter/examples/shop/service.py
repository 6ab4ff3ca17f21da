"""The shop as a web service: `uvicorn --factory pgcharter.examples.shop.service:from_environment`.

The tenant comes in the header X-Tenant and whoever acts in X-Actor: in front of a real one stands something that knows who is signed in.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.examples.shop.models import Order
from pgcharter.examples.shop.trade import (
    CACHED,
    Basket,
    Found,
    Line,
    Moved,
    NotFoundError,
    Placed,
    SoldOutError,
    TooLittleMoneyError,
    Trade,
)
from pgcharter.runtime.cache import AsyncCache, RedisStore
from pgcharter.runtime.context import NoTenantError, context
from pgcharter.runtime.cursors import CursorError
from pgcharter.runtime.database import AsyncDatabase
from pgcharter.runtime.idempotency import InProgressError, OtherRequestError
from pgcharter.runtime.models_versions import StaleVersionError
from pgcharter.runtime.outcomes import UnknownOutcomeError
from pgcharter.runtime.pages import Pager
from pgcharter.runtime.pools import PoolExhaustedError
from pgcharter.runtime.tokens_asgi import ReadYourWrites

STATUS: tuple[tuple[type[PgcharterError], int], ...] = (
    (NoTenantError, 401),
    (NotFoundError, 404),
    (CursorError, 400),
    (OtherRequestError, 422),
    (SoldOutError, 409),
    (TooLittleMoneyError, 409),
    (StaleVersionError, 409),
    (InProgressError, 409),
    (PoolExhaustedError, 503),
    (UnknownOutcomeError, 503),
    (UsageError, 400),
)
"""What an error is in HTTP; first match. What is not here is a fault of ours."""
RequestKey = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=200)]


class LineIn(BaseModel):
    """A line of a basket."""

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=1000)]


class BasketIn(BaseModel):
    """What is ordered."""

    user_id: UUID
    shipping_city: Annotated[str, Field(min_length=1, max_length=100)]
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=100)]


class TransferIn(BaseModel):
    """Money to be moved."""

    from_account_id: UUID
    to_account_id: UUID
    amount: Annotated[Decimal, Field(gt=0, max_digits=14, decimal_places=2)]


class PriceIn(BaseModel):
    """What a product costs."""

    price_amount: Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=2)]


class ItemOut(BaseModel, from_attributes=True):
    """A line of an order."""

    product_id: UUID
    quantity: int
    unit_price_amount: Decimal


class OrderOut(BaseModel, from_attributes=True):
    """An order."""

    order_id: UUID
    order_number: str
    order_status: str
    currency_code: str
    total_amount: Decimal
    items: list[ItemOut]


class OrdersOut(BaseModel):
    """A page of orders, and the cursors of the pages beside it."""

    orders: list[OrderOut]
    next: str | None
    previous: str | None


def application(trade: Trade, secret: bytes) -> FastAPI:
    """The service on a database, which it opens and closes. `secret` signs the cookie that says what a customer has written."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with trade.db, trade.cache:
            yield

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.add_middleware(ReadYourWrites, secret=secret)
    app.add_middleware(InContext)
    for error, status in STATUS:
        app.add_exception_handler(error, _answering(status))
    _orders(app, trade)
    _rest(app, trade)
    return app


def from_environment() -> FastAPI:
    """The service of SHOP_DSN, with a replica at SHOP_REPLICA_DSN and a cache at SHOP_REDIS_URL, both optional; SHOP_SECRET signs."""
    replica, redis, secret = os.environ.get("SHOP_REPLICA_DSN"), os.environ.get("SHOP_REDIS_URL"), os.environ["SHOP_SECRET"]
    db = AsyncDatabase(os.environ["SHOP_DSN"], application="shop", tenants=True, replicas=[replica] if replica else [])
    cache = AsyncCache(RedisStore(redis, namespace="shop") if redis else None, tables=CACHED, tenants=True)
    return application(Trade(db, Pager([secret]), cache), secret.encode())


class InContext:
    """Every transaction of a request begins for its tenant, and is recorded under its actor."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        sent = dict(scope.get("headers", ()))
        said = {
            name: sent[header].decode("latin-1") for name, header in (("tenant", b"x-tenant"), ("actor", b"x-actor")) if sent.get(header)
        }
        with context(**said):
            await self.app(scope, receive, send)


def _answering(status: int) -> Callable[[Request, Any], Awaitable[Response]]:
    async def answer(_request: Request, error: PgcharterError) -> Response:
        headers = {"Retry-After": "1"} if status == 503 else {}
        return JSONResponse({"error": error.message, "hint": error.hint or None}, status, headers)

    return answer


def _orders(app: FastAPI, trade: Trade) -> None:
    @app.get("/orders")
    async def orders(cursor: str | None = None, status: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> OrdersOut:
        """Orders of the tenant, latest first."""
        page = await trade.orders(cursor, status=status, limit=limit)
        return OrdersOut(orders=[_order(o) for o in page], next=page.next, previous=page.previous)

    @app.post("/orders", status_code=201)
    async def place(basket: BasketIn, request: RequestKey) -> Placed:
        """Place an order; the same Idempotency-Key again gets the same answer."""
        lines = tuple(Line(line.product_id, line.quantity) for line in basket.lines)
        return await trade.place(Basket(basket.user_id, basket.shipping_city, lines), request)


def _order(order: Order) -> OrderOut:
    return OrderOut.model_validate(order)


def _rest(app: FastAPI, trade: Trade) -> None:
    @app.post("/transfers", status_code=201)
    async def transfer(wanted: TransferIn, request: RequestKey) -> Moved:
        """Move money between two accounts."""
        return await trade.transfer(wanted.from_account_id, wanted.to_account_id, wanted.amount, request)

    @app.get("/categories/{category_id}/products")
    async def catalogue(category_id: UUID) -> list[Found]:
        """Products of a category."""
        return await trade.catalogue(category_id)

    @app.put("/products/{product_id}/price")
    async def reprice(product_id: UUID, price: PriceIn) -> Found:
        """Change a price."""
        return await trade.reprice(product_id, price.price_amount)

    @app.get("/products")
    async def search(
        q: Annotated[str, Query(min_length=1, max_length=200)], limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> list[Found]:
        """Products by words."""
        return await trade.search(q, limit)
