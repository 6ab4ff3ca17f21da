"""Filters: what is read of requests, what is refused with which sentence."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from sqlalchemy import ARRAY, DateTime, ForeignKey, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pgcharter.errors import UsageError
from pgcharter.runtime.filters import Comparison, FilterError, Group
from pgcharter.runtime.filters_fields import Filters, reader


class Base(DeclarativeBase):
    pass


class State(Enum):
    OPEN = "open"
    SHUT = "shut"


class Shop(Base):
    __tablename__ = "shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    state: Mapped[State]
    total: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    paid: Mapped[bool]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB)
    shop: Mapped[Shop] = relationship()


def asked(given: Any, filters: Any = None) -> list[tuple[str, str, Any]]:
    read = (filters or reader(Order)).read(given)
    return [(t.field, t.operator, t.value) for t in read.parts if isinstance(t, Comparison)]


def test_requests_are_read_as_the_columns_are() -> None:
    key = uuid.UUID(int=7)
    given = {
        "id": str(key), "state": "open", "total": {"ge": 10, "lt": "99.90"}, "paid": "true", "at__ge": "2026-01-01T00:00:00",
        "tags": {"contains": "a,b", "has": "c"}, "extra": {"contains": {"a": [1]}},
        "shop.city__in": ["Bonn", "Ulm"], "total__is_null": "false",
    }  # fmt: skip
    wanted = [
        ("id", "eq", key), ("state", "eq", State.OPEN), ("total", "ge", Decimal(10)), ("total", "lt", Decimal("99.90")),
        ("paid", "eq", True),
        ("at", "ge", datetime(2026, 1, 1, tzinfo=UTC)), ("tags", "contains", ["a", "b"]), ("tags", "has", "c"),
        ("extra", "contains", {"a": [1]}), ("shop.city", "in", ("Bonn", "Ulm")), ("total", "is_null", False),
    ]  # fmt: skip
    assert asked(given) == wanted
    assert asked(json.dumps(given)) == wanted


def test_groups_nest() -> None:
    read = reader(Order).read({"$any": [{"paid": True}, {"$not": {"total": None}}], "state": {"ne": None}})
    anyone, state = read.parts
    assert isinstance(anyone, Group)
    assert state == Comparison("state", "is_null", False)
    assert anyone.parts[1].parts[0] == Group("not", (Group("all", (Comparison("total", "is_null", True),)),))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"stat": "open"}, "Order has no field 'stat' (did you mean state?); there are at, extra, id, paid, shop_id, state, tags, total"),
        ({"shop.citi": "x"}, "Order has no field 'shop.citi'"),
        (
            {"total__gte": 1},
            "Order.total cannot be asked with 'gte' (did you mean gt?); there are between, eq, ge, gt, in, is_null, le, lt, ne, not_in",
        ),
        ({"paid": {"gt": True}}, "Order.paid cannot be asked with 'gt'"),
        ({"total": "ten"}, "Order.total eq: "),
        ({"total": True}, "Order.total eq: a Decimal is wanted, and this is a bool"),
        ({"id": "7"}, "Order.id eq: badly formed hexadecimal UUID string"),
        ({"state": "shut down"}, "Order.state eq: 'shut down' is none of open, shut"),
        ({"state": ["open"]}, "Order.state eq: "),
        ({"total": {"in": [1, None]}}, "Order.total in: None compares with nothing; is_null asks for it"),
        ({"total": {"in": 5}}, "Order.total in: a list is wanted, and this is a int"),
        ({"total": {"between": [1]}}, "Order.total between: two bounds are wanted, and these are 1"),
        ({"total": {"lt": None}}, "Order.total lt: None compares with nothing"),
        ({"total": {"is_null": "maybe"}}, "Order.total is_null: true or false is wanted, and this is 'maybe'"),
        ({"at": "yesterday"}, "Order.at eq: Invalid isoformat string: 'yesterday'"),
        ({"shop.city": {"like": "x\\"}}, "Order.shop.city like: the pattern ends with the escape character"),
        ({"shop.city": "a\0"}, "Order.shop.city eq: a NUL character is in it"),
        ({"$any": "x"}, "a filter is a mapping of fields to values, and this is a str"),
        ([], "a filter is a mapping of fields to values, and this is a list"),
        ("{", "the filter is no JSON: "),
        ("[1]", "a filter is a mapping of fields to values, and this is a list"),
    ],
)
def test_what_there_is_not_is_said(given: Any, sentence: str) -> None:
    with pytest.raises(FilterError) as refused:
        reader(Order).read(given)
    assert refused.value.message.startswith(sentence)


def test_a_request_may_ask_what_is_allowed() -> None:
    filters = Filters(Order, allow={"state": ["eq", "in"], "shop.city": ["eq"]}, most=3)
    assert asked({"state__in": "open,shut"}, filters) == [("state", "in", (State.OPEN, State.SHUT))]
    assert asked({"shop.city": "Bonn"}, filters) == [("shop.city", "eq", "Bonn")]
    for given, sentence in (
        ({"total": 5}, "Order has no field 'total'; there are shop.city, state"),
        ({"state": {"ne": "open"}}, "Order.state cannot be asked with 'ne'; there are eq, in"),
        ({"$any": [{"state": "open"}] * 4}, "the filter makes more than 3 comparisons"),
    ):
        with pytest.raises(FilterError, match="".join("." if c in "()[]" else c for c in sentence)):
            filters.read(given)


def test_what_is_allowed_must_be_there() -> None:
    with pytest.raises(UsageError, match="Order has no field 'nope'"):
        Filters(Order, allow=["nope"])
    with pytest.raises(UsageError, match=r"Order\.paid cannot be asked with gt"):
        Filters(Order, allow={"paid": ["eq", "gt"]})
