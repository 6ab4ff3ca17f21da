"""Law: whatever the order, a pager shows the page that a sorted list shows, forward and backward, while rows come, go and change.

`python -m tests.runtime.test_pages_law 20000` runs that many examples.
"""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.string import TextLoader
from sqlalchemy import BigInteger, Connection, Double, Engine, LargeBinary, Numeric, Text, Uuid, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgcharter.runtime.pages import Key, Listing, Page, Pager
from pgcharter.servers import binaries, lifecycle

PAGER = Pager(["0123456789abcdef"], most=7)
TABLE = """CREATE TABLE things (
    id bigint PRIMARY KEY, a int, b text COLLATE "C", c float8, d timestamptz, e numeric, f bool, g uuid, h bytea, n int NOT NULL
)"""


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    a: Mapped[int | None]
    b: Mapped[str | None] = mapped_column(Text)
    c: Mapped[float | None] = mapped_column(Double)
    d: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True), deferred=True)  # Python has no infinity to load it into
    e: Mapped[Decimal | None] = mapped_column(Numeric)
    f: Mapped[bool | None]
    g: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    h: Mapped[bytes | None] = mapped_column(LargeBinary)
    n: Mapped[int]


Row = dict[str, Any]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = [*((EPOCH + timedelta(microseconds=n)).isoformat() for n in (0, 1, 999_999, -1)), "infinity", "-infinity", "4713-01-01 BC"]


def moment(value: str) -> float:
    """Where a moment stands among the others."""
    if value in ("infinity", "-infinity"):
        return float(value.replace("infinity", "inf"))
    return -1e30 if value.endswith("BC") else (datetime.fromisoformat(value) - EPOCH) / timedelta(microseconds=1)


def number(value: Any) -> tuple[bool, Any]:
    """NaN after everything."""
    return (True, 0) if math.isnan(value) else (False, value)


def low(value: str) -> bytes:
    """Collation C folds ASCII alone."""
    return value.encode().lower()


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "a": st.none() | st.integers(-2, 3),
    "b": st.none() | st.sampled_from(["", "a", "A", "b", "B", "é", "e\u0301", "ß", "𝕏", "\uffff", "a'%s\"\\", "a\n"]),
    "c": st.none() | st.sampled_from([0.0, -0.0, 0.1, 0.1 + 2**-56, 1e300, -1.5, math.inf, -math.inf, math.nan, 5e-324]),
    "d": st.none() | st.sampled_from(MOMENTS),
    "e": st.none()
    | st.sampled_from([Decimal(x) for x in ("0", "-0.0", "1.10", "1.1", "1e-30", "NaN", "Infinity", "-Infinity", "12345678901234567.1")]),
    "f": st.none() | st.booleans(),
    "g": st.none() | st.sampled_from([uuid.UUID(int=n) for n in (0, 1, 2**127, 2**128 - 1)]),
    "h": st.none() | st.sampled_from([b"", b"\0", b"\\", b"\xff", b"abc"]),
    "n": st.integers(0, 3),
}
MEANT: dict[str, Any] = {
    "a": (lambda r: r["a"], Thing.a),
    "b": (lambda r: None if r["b"] is None else r["b"].encode(), Thing.b),
    "c": (lambda r: None if r["c"] is None else number(r["c"]), Thing.c),
    "d": (lambda r: None if r["d"] is None else moment(r["d"]), Thing.d),
    "e": (lambda r: None if r["e"] is None else number(r["e"]), Thing.e),
    "f": (lambda r: r["f"], Thing.f),
    "g": (lambda r: None if r["g"] is None else r["g"].bytes, Thing.g),
    "h": (lambda r: r["h"], Thing.h),
    "n": (lambda r: r["n"], Thing.n),
    "lower(b)": (lambda r: None if r["b"] is None else low(r["b"]), func.lower(Thing.b)),
    "coalesce(a, 1)": (lambda r: 1 if r["a"] is None else r["a"], func.coalesce(Thing.a, 1)),
    "a + n": (lambda r: None if r["a"] is None else r["a"] + r["n"], Thing.a + Thing.n),
}
"""An order's expression: its value in a row for Python, and what it is for SQLAlchemy."""

parts = st.tuples(st.sampled_from(sorted(MEANT)), st.booleans(), st.sampled_from([None, True, False]))
orders = st.lists(parts, max_size=3, unique_by=lambda part: part[0])
rows = st.lists(st.fixed_dictionaries(VALUES), max_size=14)
acts = st.one_of(
    st.sampled_from(["next", "next", "next", "previous", "first"]),
    st.tuples(st.just("insert"), st.fixed_dictionaries(VALUES)),
    st.tuples(st.just("delete"), st.integers(0, 20)),
    st.tuples(st.just("update"), st.integers(0, 20), st.fixed_dictionaries(VALUES)),
)
Order = list[tuple[str, bool, bool | None]]


def compare(order: Order, one: Row, other: Row) -> int:
    """As PostgreSQL orders, the primary key last in the direction of what stands before it."""
    for expression, down, first in order:
        x, y = (MEANT[expression][0](r) for r in (one, other))
        if x is None or y is None:
            if (x is None) != (y is None):
                return -1 if (x is None) == (down if first is None else first) else 1
        elif x != y:
            return 1 if (x < y) == down else -1
    down = order[-1][1] if order else False
    return (one["id"] < other["id"]) - (one["id"] > other["id"]) if down else (one["id"] > other["id"]) - (one["id"] < other["id"])


def page_of(model: dict[int, Row], order: Order, place: tuple[Row, bool, bool] | None, limit: int) -> list[Row]:
    """The page that a sorted list shows: place, whether backward, whether the place itself belongs to it."""
    ordered = sorted(model.values(), key=cmp_to_key(lambda x, y: compare(order, x, y)))
    if place is None:
        return ordered[:limit]
    at, backward, inclusive = place
    sign = -1 if backward else 1
    there = [r for r in ordered if (c := sign * compare(order, r, at)) > 0 or (inclusive and c == 0)]
    return there[-limit:] if backward else there[:limit]


def selected(order: Order) -> Any:
    clauses = []
    for expression, down, first in order:
        clause = MEANT[expression][1].desc() if down else MEANT[expression][1].asc()
        clauses.append(clause if first is None else clause.nulls_first() if first else clause.nulls_last())
    return select(Thing).where(Thing.n >= 0).order_by(*clauses)


def listed(order: Order) -> Listing:
    keys = [Key(expression, down, first, expression not in ("n", "coalesce(a, 1)")) for expression, down, first in order]
    return Listing("SELECT * FROM things WHERE n >= %(least)s", keys, ("id",), {"least": 0})


INSERT = text("INSERT INTO things VALUES (:id, :a, :b, :c, cast(cast(:d AS text) AS timestamptz), :e, :f, :g, :h, :n)")


class Walk:
    """Somebody who goes through pages, the list of rows beside."""

    def __init__(self, conn: Connection, given: list[Row], order: Order, limit: int, *, orm: bool) -> None:
        self.conn, self.order, self.limit, self.orm = conn, order, limit, orm
        self.model: dict[int, Row] = {}
        self.next_id = 0
        conn.execute(text("DELETE FROM things"))
        self.insert(given)
        self.place: tuple[Row, bool, bool] | None = None
        self.page: Page[Any] = self.read(None)

    def insert(self, given: list[Row]) -> None:
        new = []
        for row in given:
            self.next_id += 1
            new.append({"id": (self.next_id * 7) % 23 * 100 + self.next_id, **row})  # ids do not grow with time
        if new:
            self.conn.execute(INSERT, new)
        self.model.update((row["id"], row) for row in new)

    def read(self, cursor: str | None) -> Page[Any]:
        if self.orm:
            with Session(self.conn) as session:
                page = PAGER.page(session, selected(self.order), cursor, limit=self.limit)
                ids = [thing.id for thing in page.items]
        else:
            driver: Any = self.conn.connection.driver_connection
            driver.adapters.register_loader("timestamptz", TextLoader)
            page = PAGER.page(driver, listed(self.order), cursor, limit=self.limit)
            ids = [row[0] for row in page.items]
        expected = page_of(self.model, self.order, self.place, self.limit)
        assert ids == [row["id"] for row in expected], (self.order, self.place)
        self.check_ends(page, expected)
        self.shown = expected
        return page

    def check_ends(self, page: Page[Any], expected: list[Row]) -> None:
        """A page beside this one is offered where there is one; the one that was come from always is."""
        backward = self.place is not None and self.place[1]
        if expected:
            for offered, from_here, row in ((page.has_next, False, expected[-1]), (page.has_previous, True, expected[0])):
                there = bool(page_of(self.model, self.order, (dict(row), from_here, False), 1))
                came = self.place is not None and backward is not from_here
                assert offered is (came or there)
        else:
            assert (page.has_next, page.has_previous) == ((backward, not backward) if self.place else (False, False))

    def go(self, *, backward: bool) -> None:
        cursor = self.page.previous if backward else self.page.next
        if cursor is None:
            return
        if self.shown:
            self.place = (dict(self.shown[0 if backward else -1]), backward, False)
        else:
            assert self.place is not None
            self.place = (self.place[0], backward, not self.place[2])
        self.page = self.read(cursor)

    def act(self, what: Any) -> None:
        match what:
            case "next":
                self.go(backward=False)
            case "previous":
                self.go(backward=True)
            case "first":
                self.place = None
                self.page = self.read(None)
            case ("insert", row):
                self.insert([row])
            case ("delete", n):
                if self.model:
                    gone = sorted(self.model)[n % len(self.model)]
                    del self.model[gone]
                    self.conn.execute(text("DELETE FROM things WHERE id = :id"), {"id": gone})
            case ("update", n, row):
                if self.model:
                    changed = sorted(self.model)[n % len(self.model)]
                    self.model[changed] = {"id": changed, **row}
                    self.conn.execute(text("DELETE FROM things WHERE id = :id"), {"id": changed})
                    self.conn.execute(INSERT, [self.model[changed]])


def check(conn: Connection, given: list[Row], order: Order, limit: int, acted: list[Any], *, orm: bool) -> None:
    """One example: as it was told, then to the end, back to the start, and all rows were met once each way."""
    walk = Walk(conn, given, order, limit, orm=orm)
    for what in acted:
        walk.act(what)
    walk.act("first")
    met = [row["id"] for row in walk.shown]
    while walk.page.next:
        walk.go(backward=False)
        met += [row["id"] for row in walk.shown]
    back = [row["id"] for row in reversed(walk.shown)]
    while walk.page.previous:
        walk.go(backward=True)
        back += [row["id"] for row in reversed(walk.shown)]
    assert met == list(reversed(back))
    assert sorted(met) == sorted(walk.model)


def law(conn: Connection, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(rows, orders, st.integers(1, 7), st.lists(acts, max_size=12), st.booleans())
    def every(given_: list[Row], order: Order, limit: int, acted: list[Any], orm: bool) -> None:
        check(conn, given_, order, limit, acted, orm=orm)

    every()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def test_pages_are_those_of_a_sorted_list(engine: Engine) -> None:
    with engine.connect() as conn:
        conn.execute(text(TABLE))
        law(conn, 120)


if __name__ == "__main__":
    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        made = create_engine(server.dsn().replace("postgresql://", "postgresql+psycopg://"))
        with made.connect() as connected:
            connected.execute(text(TABLE))
            law(connected, int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
        made.dispose()
    sys.stdout.write("ok\n")
