"""Repositories on sessions: loading, refusals, search, upserts, streams, soft delete; both colours say the same."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Computed, Engine, ForeignKey, Identity, Index, UniqueConstraint, create_engine, func, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from tests.db.test_flows import url

from pgcharter.errors import UsageError
from pgcharter.runtime.filters import FilterError
from pgcharter.runtime.filters_fields import Filters
from pgcharter.runtime.models_session import serve_models
from pgcharter.runtime.models_soft_delete import SoftDelete
from pgcharter.runtime.pages import Pager
from pgcharter.runtime.repeats import watching
from pgcharter.runtime.repository import AsyncRepository, Memory, NotFoundError, Repository

PAGER = Pager(["0123456789abcdef"])


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Order(SoftDelete, Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    number: Mapped[str]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    total: Mapped[int] = mapped_column(server_default=text("7"))
    changed: Mapped[int] = mapped_column(server_default=text("0"), onupdate=func.length("four"))
    words: Mapped[str] = mapped_column(TSVECTOR, Computed("to_tsvector('english', number)", persisted=True), deferred=True)
    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[Line]] = relationship(order_by="Line.sku")
    __table_args__ = (UniqueConstraint("number", name="orders_number"), Index("orders_words", "words", postgresql_using="gin"))


class Line(Base):
    __tablename__ = "lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    product: Mapped[Customer] = relationship()


class Orders(Repository[Order]):
    def large(self) -> list[Order]:
        return self.list(total__ge=50, order_by="-total")


class AsyncOrders(AsyncRepository[Order]):
    pass


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(url(database))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Customer(id=i, name=f"c{i}") for i in range(3))
        session.flush()
        for i in range(12):
            session.add(Order(number=f"order {i} of shoes", customer_id=i % 3, total=i * 10))
        session.flush()
        session.add_all(Line(order_id=i + 1, sku=f"s{n}", product_id=n) for i in range(12) for n in range(2))
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with serve_models(sessionmaker(engine))() as session:
        yield session


def test_one_row(session: Session) -> None:
    orders = Orders(session)
    assert orders.get(3).number == "order 2 of shoes"
    assert orders.get_or_none(99) is None
    with pytest.raises(NotFoundError, match="there is no Order with key 99"):
        orders.get(99)
    made = orders.insert(number="new", customer_id=1)
    assert (made.total, orders.get(made.id) is made) == (7, True)
    changed = orders.update(made.id, total=8)
    assert (changed is made, made.total, made.changed) == (True, 8, 4)
    orders.delete(made.id)
    for work in (lambda: orders.update(made.id, total=1), lambda: orders.delete(made.id)):
        with pytest.raises(NotFoundError):
            work()
    assert session.scalar(text("SELECT count(*) FROM orders WHERE deleted_at IS NOT NULL")) == 1


def test_lists(session: Session) -> None:
    orders = Orders(session)
    assert [o.total for o in orders.large()] == [110, 100, 90, 80, 70, 60, 50]
    assert [o.total for o in orders.list(Order.total > 20, {"customer.name": "c0"}, order_by=[Order.total.desc()])] == [90, 60, 30]
    assert len(orders.list(Filters(Order, allow=["total"]).read('{"total": {"lt": "30"}}'))) == 3
    assert [o.total for o in orders.list(order_by="total", limit=2, offset=3)] == [30, 40]
    assert (orders.count(total__lt=50), orders.exists(total=1000)) == (5, False)
    assert orders.aggregate(by=["customer_id"], n="count", sum=("sum", "total")) == [
        {"customer_id": c, "n": 4, "sum": 180 + 40 * c} for c in range(3)
    ]  # fmt: skip
    orders.delete_where(customer_id=1)
    assert orders.count() == 8
    page = orders.page(PAGER, None, order_by="-total", limit=5)
    assert len(orders.page(PAGER, page.next, order_by="-total", limit=5)) == 3
    assert orders.update_where({"total": {"ge": 100}}, values={"number": "x"}) == 1


def test_a_count_may_be_the_planners(session: Session) -> None:
    session.execute(text("ANALYZE orders"))
    assert Orders(session).count(exact=False) == 12
    assert 1 <= Orders(session).count({"customer_id": 1}, exact=False) <= 5


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (lambda o: o.list(totl=3), r"Order has no field 'totl' \(did you mean total\?\)"),
        (lambda o: o.list(order_by="totl"), r"Order has no field 'totl' \(did you mean total\?\)"),
        (lambda o: o.list(load=["line"]), r"Order has no relationship 'line' \(did you mean lines\?\)"),
        (lambda o: o.list(load=["lines.produkt"]), r"Line has no relationship 'produkt' \(did you mean product\?\)"),
        (lambda o: o.list(offset=1001), "offset 1,001 is asked for, and 1,000 is the most"),
        (lambda o: o.update(1, totl=3), "Order has no field 'totl'"),
        (lambda o: o.update(1), "nothing is to be changed"),
        (lambda o: o.insert(numbr=3), "Order has no field 'numbr'"),
        (lambda o: o.delete_where(), "no filter is given, and every Order would be changed"),
        (lambda o: o.update_where({}, values={"total": 1}), "no filter is given"),
        (lambda o: o.aggregate(n="median"), "there is no aggregate 'median'"),
        (lambda o: o.aggregate(n="sum"), "does not say of which field"),
        (lambda o: o.aggregate(), "nothing is to be aggregated"),
    ],
)
def test_what_there_is_not_is_refused(session: Session, work: Any, sentence: str) -> None:
    for orders in (Orders(session), Orders(Memory())):
        if "relationship" in sentence and not isinstance(orders.session, Session):
            continue
        with pytest.raises(UsageError, match=sentence):
            work(orders)


def test_relationships_are_loaded_as_said_and_not_one_by_one(session: Session) -> None:
    orders = Orders(session)
    with watching(session) as seen:
        for order in orders.list(load=["customer", "lines.product"]):
            assert order.customer.name
            assert [line.product.name for line in order.lines] == ["c0", "c1"]
    assert seen.count == 2
    session.expunge_all()
    for read in (lambda: orders.list()[0], lambda: orders.get(2), lambda: orders.list(load=[Order.customer])[0]):
        with pytest.raises(InvalidRequestError, match="lazy='raise"):
            _ = read().lines
        session.expunge_all()

    class Lazy(Repository[Order]):
        lazy = True

    assert len(Lazy(session).list()[0].lines) == 2


def test_search_uses_its_column_and_index(session: Session) -> None:
    orders = Orders(session)
    assert [o.number for o in orders.search("order -2 shoe", order_by="number", limit=3)] == [f"order {n} of shoes" for n in (0, 1, 10)]
    assert orders.search('"shoes order"') == []
    with pytest.raises(UsageError, match="Customer has no column of type tsvector"):
        Repository(session, Customer).search("x")


def test_upserts(session: Session) -> None:
    orders = Orders(session)
    rows = [{"number": "order 1 of shoes", "customer_id": 2, "total": 5}, {"number": "new", "customer_id": 2, "total": 6}]
    assert sorted((o.number, o.total, o.changed) for o in orders.upsert(rows, on=["number"])) == [("new", 6, 0), ("order 1 of shoes", 5, 4)]
    assert [o.total for o in orders.upsert({"number": "new", "customer_id": 1, "total": 9}, on="orders_number", update=["total"])] == [9]
    assert orders.first(number="new").customer_id == 2  # type: ignore[union-attr]
    assert orders.upsert(rows, on=["number"], conflict="ignore") == []
    assert orders.upsert([], on=["number"]) == []


def test_many(session: Session) -> None:
    orders = Orders(session)
    made = orders.insert_many({"number": f"m{n}", "customer_id": 1} for n in range(1500))
    assert [o.number for o in made] == [f"m{n}" for n in range(1500)]
    assert orders.bulk([{"number": "b1", "customer_id": 1}, {"number": "b2", "customer_id": 1}]).rows == 2
    assert sum(1 for _ in orders.stream(number__starts="m", chunk=100)) == 1500
    orders.add_all([Order(number="a1", customer_id=0), Order(number="a2", customer_id=0)])
    assert orders.add(Order(number="a3", customer_id=0)).total == 7
    assert orders.count(number__like="a_") == 3


def test_async_is_the_same(engine: Engine, database: str) -> None:
    async def work() -> None:
        made = create_async_engine(url(database))
        async with AsyncSession(made) as session:
            orders = AsyncOrders(session)
            new = await orders.insert(number="new", customer_id=1)
            assert (await orders.update(new.id, total=3)).total == 3
            assert len(await orders.list({"total": {"ge": 50}}, load=["lines"], order_by="-total")) == 7
            assert (await orders.page(PAGER, order_by="total", limit=4)).has_next
            assert await orders.count() == 13
            assert (await orders.count(exact=False)) > 0
            assert (await orders.bulk([{"number": "b", "customer_id": 1}])).rows == 1
            assert len([o async for o in orders.stream(total__ge=50)]) == 7
            await orders.delete(new.id)
            with pytest.raises(NotFoundError):
                await orders.get(new.id)
            with pytest.raises(FilterError):
                await orders.list(nope=1)
        memory = AsyncOrders(Memory(Order(id=1, number="a", customer_id=1, total=3)))
        assert (await memory.get(1)).number == "a"
        assert [o.id async for o in memory.stream()] == [1]
        await made.dispose()

    asyncio.run(work())


def test_both_colours_have_one_interface() -> None:
    def shown(cls: type) -> dict[str, str]:
        return {n: str(inspect.signature(f)).replace("AsyncIterator", "Iterator") for n, f in vars(cls).items() if not n.startswith("_")}

    assert shown(Repository) == shown(AsyncRepository)
    assert {n: f.__doc__ for n, f in vars(Repository).items() if callable(f)} == {
        n: f.__doc__ for n, f in vars(AsyncRepository).items() if callable(f)
    }


def test_it_has_to_say_of_what_it_is(session: Session) -> None:
    with pytest.raises(UsageError, match="Repository does not say of which class it is"):
        Repository(session)
