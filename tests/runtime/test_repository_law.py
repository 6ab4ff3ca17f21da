"""Law: a repository in memory answers as one on PostgreSQL does: filters with NULLs, orders, pages, aggregates, writes, refusals.

`python -m tests.runtime.test_repository_law 20000` runs that many examples.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Double,
    Engine,
    ForeignKey,
    Identity,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    create_engine,
    text,
)
from sqlalchemy.dialects.postgresql import INT4RANGE, JSONB, Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from tests.db.test_flows import url

from pgcharter.errors import PgcharterError
from pgcharter.runtime.filters import OPERATORS
from pgcharter.runtime.pages import Pager
from pgcharter.runtime.repository import Memory, Repository
from pgcharter.servers import binaries, lifecycle

PAGER = Pager(["0123456789abcdef"])
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
C = Text(collation="C")


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelves"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    room: Mapped[str | None] = mapped_column(C)


class Book(Base):
    __tablename__ = "books"
    __table_args__ = (UniqueConstraint("title", "pages", name="books_title"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    title: Mapped[str | None] = mapped_column(C)
    pages: Mapped[int | None] = mapped_column(Integer)
    price: Mapped[Decimal | None] = mapped_column(Numeric)
    weight: Mapped[float | None] = mapped_column(Double)
    lent: Mapped[bool | None]
    tags: Mapped[list[str | None] | None] = mapped_column(ARRAY(Text))
    years: Mapped[Range[int] | None] = mapped_column(INT4RANGE)
    extra: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    state: Mapped[str] = mapped_column(C, server_default=text("'new'"))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))
    shelf: Mapped[Shelf | None] = relationship()


class Books(Repository[Book]):
    lazy = True


TITLES = st.sampled_from(["", "a", "A", "ab", "b%", "a_b", "\\", "ß", "%"])
WORDS = st.sampled_from(["x", "y", "z"])
DOCUMENTS = st.recursive(
    st.integers(0, 2) | st.booleans() | WORDS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2)
)
RANGES = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda b: Range(min(b), max(b) + 1))
NUMBERS = st.integers(-1, 3)
PRICES = st.sampled_from([Decimal("0"), Decimal("1.1"), Decimal("NaN"), Decimal("-2")])
WEIGHTS = st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf])
VALUES: dict[str, Any] = {
    "title": TITLES, "pages": NUMBERS, "price": PRICES, "weight": WEIGHTS, "lent": st.booleans(),
    "tags": st.lists(st.none() | WORDS, max_size=3), "years": RANGES, "extra": DOCUMENTS, "state": TITLES,
}  # fmt: skip
KINDS = {
    "title": "text", "state": "text", "pages": "ordered", "price": "ordered", "weight": "ordered", "lent": "plain", "tags": "array",
    "years": "range", "extra": "json", "id": "ordered", "shelf.room": "text", "shelf.id": "ordered",
}  # fmt: skip


@st.composite
def comparisons(draw: Any) -> dict[str, Any]:
    field = draw(st.sampled_from(sorted(KINDS)))
    operator = draw(st.sampled_from(OPERATORS[KINDS[field]]))  # type: ignore[index]
    values = VALUES.get(field, TITLES if field == "shelf.room" else NUMBERS)
    if operator == "is_null":
        value: Any = draw(st.booleans())
    elif operator in ("in", "not_in"):
        value = draw(st.lists(values, max_size=3))
    elif operator == "between":
        value = draw(st.tuples(values, values))
    elif operator == "has":
        value = draw(WORDS if field == "tags" else NUMBERS)
    elif operator == "has_key":
        value = draw(WORDS)
    else:
        value = draw(values)
    return {f"{field}__{operator}": value}


filters = st.recursive(
    comparisons(),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: {"$any": parts}) | inner.map(lambda part: {"$not": part})
    | st.lists(inner, max_size=3).map(lambda parts: {"$all": parts}),
    max_leaves=4,
)  # fmt: skip
rows = st.lists(
    st.fixed_dictionaries(
        {k: v if k == "state" else st.none() | v for k, v in VALUES.items()} | {"shelf_id": st.none() | st.integers(1, 2)}
    ),
    max_size=8,
)
orders = st.lists(st.sampled_from(["title", "-title", "pages", "-pages", "price", "-weight", "lent", "-state", "-id"]), max_size=2)
writes = st.one_of(
    st.tuples(st.just("update"), st.integers(1, 9), st.sampled_from(["pages", "title", "state"]), st.integers(0, 2)),
    st.tuples(st.just("update_where"), filters, st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(1, 9)),
    st.tuples(st.just("delete_where"), filters),
    st.tuples(st.just("upsert"), TITLES, st.integers(0, 2), TITLES, st.sampled_from(["update", "ignore"]), st.booleans()),
    st.tuples(st.just("insert"), TITLES, st.integers(0, 2)),
)


def answer(work: Any) -> Any:
    """What came of it, an error by its class."""
    try:
        return work()
    except IntegrityError as error:
        return "null" if "null value" in str(error) else "duplicate"
    except PgcharterError as error:
        return type(error).__name__, error.message


def plain(book: Any) -> Any:
    if not isinstance(book, Book):
        return book
    told = {
        name: str(getattr(book, name)) for name in ("id", "title", "pages", "price", "weight", "lent", "tags", "years", "state", "shelf_id")
    }
    return (*told.values(), json.dumps(book.extra, sort_keys=True))


def write(books: Books, what: Any) -> Any:
    match what:
        case ("update", key, "pages", n):
            return plain(books.update(key, pages=n))
        case ("update", key, field, n):
            return plain(books.update(key, **{field: ["a", "b%", None][n]}))
        case ("update_where", where, n):
            return books.update_where(where, values={"weight": float(n)})
        case ("delete", key):
            return books.delete(key)
        case ("delete_where", where):
            return books.delete_where(where)
        case ("upsert", title, pages, state, conflict, named):
            on = "books_title" if named else ["title", "pages"]
            return sorted(map(plain, books.upsert({"title": title, "pages": pages, "state": state}, on=on, conflict=conflict)))
        case ("insert", title, pages):
            return plain(books.insert(title=title, pages=pages))


def seen(books: Books, where: Any, order: list[str], limit: int) -> list[Any]:
    """All that can be asked with a filter."""
    found = [
        [plain(b) for b in books.list(where, order_by=order or "id")],
        [plain(b) for b in books.list(where, order_by=order, limit=limit, offset=1)],
        plain(books.first(where, order_by=order)),
        books.count(where),
        books.exists(where),
        books.aggregate(where, n="count", titles=("count", "title"), most=("max", "price"), least=("min", "pages"), sum=("sum", "pages")),
        books.aggregate(where, of=("count_distinct", "title")),
        [list(map(str, group.values())) for group in books.aggregate(where, by=["lent", "title"], n="count", price=("sum", "pages"))],
    ]  # fmt: skip
    page = books.page(PAGER, None, where, order_by=order, limit=limit)
    shown = [(list(map(plain, page)), page.has_next, page.has_previous)]
    while page.next:
        page = books.page(PAGER, page.next, where, order_by=order, limit=limit)
        shown.append((list(map(plain, page)), page.has_next, page.has_previous))
    if page.previous:
        page = books.page(PAGER, page.previous, where, order_by=order, limit=limit)
        shown.append((list(map(plain, page)), page.has_next, page.has_previous))
    return [str(one) for one in (*found, shown)]


def check(engine: Engine, given_: list[dict[str, Any]], where: Any, order: list[str], limit: int, written: list[Any]) -> None:
    shelves = [{"id": 1, "room": "a"}, {"id": 2, "room": None}]
    with Session(engine) as session:
        session.execute(text("TRUNCATE books, shelves RESTART IDENTITY"))
        session.add_all(Shelf(**shelf) for shelf in shelves)
        session.flush()
        memory = Memory()
        here, there = Books(memory), Books(session)
        in_memory = {shelf["id"]: Shelf(**shelf) for shelf in shelves}
        known = set()
        for row in given_:
            if None not in (row["title"], row["pages"]) and (row["title"], row["pages"]) in known:
                continue
            known.add((row["title"], row["pages"]))
            there.insert(**row)
            here.add(Book(**row, shelf=in_memory.get(row["shelf_id"])))
        for one, other in zip(*(answer(partial(seen, books, where, order, limit)) for books in (here, there)), strict=True):
            assert one == other, f"{one}\n{other}"
        for what in written:
            mark = session.begin_nested()
            result = answer(partial(write, there, what))
            mark.rollback() if isinstance(result, str) else mark.commit()
            session.expire_all()
            mine = answer(partial(write, here, what))
            assert mine == result, (mine, result)
        assert sorted(map(plain, here.list())) == sorted(map(plain, there.list()))
        session.rollback()


def law(engine: Engine, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=PHASES)
    @given(rows, filters, orders, st.integers(1, 4), st.lists(writes, max_size=4))
    def every(given_: list[dict[str, Any]], where: Any, order: list[str], limit: int, written: list[Any]) -> None:
        check(engine, given_, where, order, limit, written)

    every()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(url(database))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_memory_answers_as_the_server_does(engine: Engine) -> None:
    law(engine, 30)


if __name__ == "__main__":
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        made = create_engine(url(server.dsn()))
        Base.metadata.create_all(made)
        law(made, int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
        made.dispose()
    sys.stdout.write("ok\n")
