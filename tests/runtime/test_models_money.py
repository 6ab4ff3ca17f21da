"""Money without floats, and enums as CHECK or type."""

from __future__ import annotations

import asyncio
import decimal
import enum
import json
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Integer, MetaData, Numeric, func, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column
from tests.db.test_flows import url

from pgcharter.errors import UsageError
from pgcharter.runtime.models_enums import EnumText, UnknownValueError, enum_column
from pgcharter.runtime.models_money import Amount, Money, amount, dumps, exact, loads, refuse_floats, rounded, shared


class State(enum.Enum):
    OPEN = "open"
    ODD = "it's \\ 'odd'"


class Base(DeclarativeBase):
    metadata = MetaData(schema="app")


class HasState:
    state: Mapped[State] = enum_column(State)


class Bill(HasState, Base):
    __tablename__ = "bills"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[State | None] = enum_column(State, kind="type", name="Kind of bill", schema="app")
    total: Mapped[Decimal] = mapped_column(Money(12, 2))
    price: Mapped[Amount] = amount("price")
    tip: Mapped[Amount | None] = amount("tip", nullable=True)


class Refund(HasState, Base):
    __tablename__ = "refunds"
    id: Mapped[int] = mapped_column(primary_key=True)


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Point(DataBase):
    __tablename__ = "points"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[State] = enum_column(State)


def bill(**values: Any) -> Bill:
    return Bill(**{"state": State.OPEN, "total": Decimal("12.30"), "price": Amount(Decimal("0.1"), "EUR"), **values})


def test_money_comes_back_as_it_went(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([bill(id=1, tip=Amount(Decimal(-5), "CHF")), bill(id=2, total=7)])
        session.commit()
        one = session.get_one(Bill, 1)
        assert (one.total, one.price, one.tip) == (Decimal("12.30"), Amount(Decimal("0.1000"), "EUR"), Amount(Decimal(-5), "CHF"))
        assert session.get_one(Bill, 2).tip is None
        assert session.scalar(select(func.sum(Bill.total))) == Decimal("19.30")
        assert session.scalars(select(Bill.id).where(Bill.total * Decimal("1.0775") > 13)).all() == [1]
        assert session.scalars(select(Bill.id).where(Bill.price == Amount(Decimal("0.1"), "EUR"), Bill.total == 7)).all() == [2]
        with pytest.raises(IntegrityError, match="chk_bills_price_currency"):
            session.execute(text("UPDATE app.bills SET price_currency = 'eur'"))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (12.3, r"12\.3 is a float, which is no exact number"), (True, "is a bool"), ("1", "is a str"), (Decimal("NaN"), "no amount"),
        (Decimal("1.005"), r"would be rounded to 2 decimal places"), (Decimal(10) ** 10, r"does not fit numeric\(12, 2\)"),
        (Decimal("1E+40"), "does not fit"), (Decimal("1E-40"), "would be rounded"),
    ],
)  # fmt: skip
def test_what_is_no_money(engine: Engine, value: Any, sentence: str) -> None:
    with Session(engine) as session:
        session.add(bill(id=1, total=value))
        with pytest.raises(StatementError, match=sentence) as raised:
            session.flush()
        assert isinstance(raised.value.orig, UsageError)


def test_no_float_in_an_expression_nor_from_an_engine_that_gives_them(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(bill(id=1))
        session.commit()
        for expression in (Bill.total * 1.5, Bill.total > 12.2, Bill.total + 0.1):
            with pytest.raises(StatementError, match="is a float"):
                session.execute(select(expression))
        money: Any = Money()
        with pytest.raises(UsageError, match="is a float"):
            money.process_result_value(0.1, None)
        assert isinstance(session.scalar(select(Bill.total / 3)), Decimal)


def test_reckoning() -> None:
    ten = Amount(Decimal("10.00"), "EUR")
    assert str(ten + ten - ten * Decimal("0.5")) == "15.000 EUR"
    assert -ten < ten <= ten
    assert 2 * ten == Amount(Decimal(20), "EUR")
    assert [str(part) for part in ten.shared([1, 1, 1])] == ["3.34 EUR", "3.33 EUR", "3.33 EUR"]
    assert (ten * Decimal("0.12345")).rounded(2, decimal.ROUND_UP).amount == Decimal("1.24")
    assert exact(Decimal(10) ** 40 + Decimal("0.01")) + 0 == Decimal(10) ** 40
    big = Amount(Decimal("123456789012345678901234567890.12"), "EUR")
    assert str((big + big).amount) == "246913578024691357802469135780.24"
    other, broken = Amount(Decimal(1), "USD"), 0.1
    wrongs: list[Any] = [
        lambda: ten + other, lambda: ten < other, lambda: ten * broken, lambda: rounded(broken), lambda: Amount(broken, "EUR"),  # type: ignore[arg-type]
        lambda: Amount(Decimal(1), "Euro"), lambda: shared(Decimal("0.001"), [1]), lambda: shared(1, [0]),
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(TypeError):
        _ = ten.amount + 0.1  # type: ignore[operator]


@settings(max_examples=200, deadline=None)
@given(st.decimals(-(10**20), 10**20, places=2), st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any))
def test_parts_add_up(total: Decimal, weights: list[int]) -> None:
    parts = shared(total, weights)
    assert sum(parts) == total
    exactly = [total * weight / sum(weights) for weight in weights]
    assert all(abs(part - share) < Decimal("0.0100001") for part, share in zip(parts, exactly, strict=True))


def test_json_without_floats() -> None:
    assert dumps({"a": [Decimal("0.10"), 1, True, None]}) == '{"a": ["0.10", 1, true, null]}'
    assert loads('{"a": 0.10, "b": 1e2, "c": 3}') == {"a": Decimal("0.10"), "b": Decimal(100), "c": 3}
    with pytest.raises(UsageError, match="is a float"):
        dumps({"a": [{"b": 0.1}]})
    with pytest.raises(TypeError, match="object is no JSON"):
        dumps(object())
    assert json.loads(dumps(Decimal(1))) == "1"


def test_psycopg(database: str) -> None:
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT 0.1::numeric + %s", (Decimal("0.2"),)).fetchone() == (Decimal("0.3"),)
        refuse_floats(conn)
        with pytest.raises(UsageError, match="is a float"):
            conn.execute("SELECT %s", (0.1,))
        with psycopg.connect(database) as other:
            assert other.execute("SELECT %s", (0.1,)).fetchone() == (0.1,)


def test_enums(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([bill(id=1, state=State.ODD, kind=State.ODD), bill(id=2, kind=None), Refund(id=1, state=State.OPEN)])
        session.commit()
        assert session.execute(select(Bill.state, Bill.kind).order_by(Bill.id)).all() == [(State.ODD, State.ODD), (State.OPEN, None)]
        assert session.scalars(select(Bill.id).where(Bill.state == State.ODD, Bill.kind == State.ODD)).all() == [1]
        assert session.scalars(select(Bill.id).where(Bill.state.in_([State.OPEN]))).all() == [2]
        found = session.execute(text("SELECT conname FROM pg_constraint WHERE conname LIKE '%state' ORDER BY 1")).scalars().all()
        assert found == ["chk_bills_state", "chk_refunds_state"]
        assert session.scalar(text('SELECT enum_range(NULL::app."Kind of bill")::text')) is not None
        for wrong in ("closed", Other.OPEN, 3):
            session.add(bill(id=3, state=wrong))
            with pytest.raises(StatementError, match="is no State"):
                session.flush()
            session.rollback()
        with pytest.raises(IntegrityError, match="chk_bills_state"):
            session.execute(text("UPDATE app.bills SET state = 'closed'"))


class Other(enum.Enum):
    OPEN = "open"


def test_a_value_that_the_application_does_not_know(engine: Engine, database: str) -> None:
    with engine.begin() as conn:
        conn.execute(text("ALTER TABLE app.refunds DROP CONSTRAINT chk_refunds_state"))
        conn.execute(text("INSERT INTO app.refunds VALUES (1, 'lost')"))
        conn.execute(text("ALTER TYPE app.\"Kind of bill\" ADD VALUE 'lost'"))
    with engine.begin() as conn:
        conn.execute(
            text("INSERT INTO app.bills (id, state, kind, total, price_amount, price_currency) VALUES (1, 'open', 'lost', 1, 1, 'EUR')")
        )
    with Session(engine) as session, pytest.raises(UnknownValueError, match="holds 'lost', which State does not have") as raised:
        session.get(Refund, 1)
    assert "LOST = 'lost'" in raised.value.hint

    async def work() -> None:
        made = create_async_engine(url(database))
        async with AsyncSession(made) as asynchronous:
            with pytest.raises(UnknownValueError, match="holds 'lost'"):
                await asynchronous.get(Bill, 1)
        await made.dispose()

    asyncio.run(work())


def test_members_without_texts() -> None:
    class Level(enum.Enum):
        LOW = 1

    with pytest.raises(UsageError, match="has no text for a value"):
        EnumText(Level)
    assert Point(id=1, state=State.OPEN).state is State.OPEN
    assert isinstance(Bill.__table__.c.total.type.impl, Numeric)
    assert isinstance(Bill.__table__.c.id.type, Integer)
