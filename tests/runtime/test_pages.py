"""Pages: joins, aliases, eager loading, criteria, row factories, colours; what is refused; which index is used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row
from psycopg.sql import SQL, Identifier
from sqlalchemy import Engine, ForeignKey, bindparam, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    with_loader_criteria,
)
from tests.conftest import lacking
from tests.db.test_flows import url

from pgcharter.errors import UsageError
from pgcharter.runtime.context import context
from pgcharter.runtime.cursors import OtherQueryCursorError, OtherTenantCursorError
from pgcharter.runtime.pages import Key, Listing, Pager, UncoveredError, UncoveredWarning, coverage

PAGER = Pager(["0123456789abcdef"], most=1000)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str | None]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    state: Mapped[str]
    total: Mapped[int | None]
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[Line]] = relationship(order_by="Line.n")


class Line(Base):
    __tablename__ = "lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str | None]


TWIN = aliased(Customer, name="twin")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(url(database))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Customer(id=i, name=f"c{i % 4}", city=None if i % 3 else f"t{i % 2}") for i in range(8))
        session.flush()
        session.add_all(Order(id=i, customer_id=i % 7, state="ox"[i % 2], total=None if i % 5 == 0 else i % 4) for i in range(40))
        session.flush()
        session.add_all(Line(order_id=i, n=n, sku=None if n == 1 else f"s{i % 3}") for i in range(40) for n in range(i % 4))
        session.commit()
    yield engine
    engine.dispose()


def walked(conn: Any, query: Any, limit: int = 7, **options: Any) -> list[Any]:
    """All items, forward; backward they are the same."""
    page = PAGER.page(conn, query, limit=limit, **options)
    items, first = list(page), page
    while page.next:
        page = PAGER.page(conn, query, page.next, limit=limit, **options)
        items += page
    back = list(reversed(page.items))
    while page.previous:
        page = PAGER.page(conn, query, page.previous, limit=limit, **options)
        back += reversed(page.items)
    assert back == list(reversed(items))
    assert not first.has_previous
    return items


@pytest.mark.parametrize(
    "query",
    [
        select(Order).join(Order.customer).order_by(Customer.name, Order.total.desc()),
        select(Order).join(Order.customer).where(Customer.name == "c1").order_by(Customer.city),
        select(Order, Customer.name).join(Order.customer).order_by(func.lower(Customer.name).desc(), Order.total.nulls_first()),
        select(Order.id, Line.sku).outerjoin(Order.lines).order_by(Line.sku),
        select(Order.id, Line.sku).outerjoin(Order.lines).order_by(Line.sku.desc(), Order.total),
        select(Line.sku, Order.id).join(Order, Order.id == Line.order_id).order_by(Order.state),
        select(Customer.name, Order.id, Line.n)
        .outerjoin(Order, Order.customer_id == Customer.id)
        .outerjoin(Line, Line.order_id == Order.id + 2, full=True),
        select(Customer.id, TWIN.id).join(TWIN, TWIN.name == Customer.name).order_by(TWIN.city),
        select(Order.id).where(Order.state.in_(["o", "x"])).order_by((Order.total * -1).label("less")),
        select(Order.id).where(Order.id.in_(select(Line.order_id).where(Line.n > 0))).order_by(func.coalesce(Order.total, 2).desc()),
        select(Order.extra, Order.id).order_by(Order.state, Order.id.desc()),
        select(Order).where(Order.id == 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_rows_of_joins_are_each_met_once(engine: Engine, query: Any, limit: int) -> None:
    with Session(engine) as session:
        met = walked(session, query, limit)
        expected = session.execute(query).all()
        expected = [row[0] if len(row) == 1 else row for row in expected]
        key = str
        assert sorted(map(key, met)) == sorted(map(key, expected))
        assert [type(item) for item in met[:1]] == [type(item) for item in expected[:1]]


def test_aliases_are_those_of_the_statement_at_hand(engine: Engine) -> None:
    """Statements of one form have different aliases: nothing of the first may stand in the second."""
    with Session(engine) as session:
        for _ in range(3):
            other = aliased(Order)
            assert len(walked(session, select(other).where(other.total > 1).order_by(other.total, other.state.desc()))) == 16


def test_values_of_the_filter_are_those_of_the_statement_at_hand(engine: Engine) -> None:
    with Session(engine) as session:
        for state in ("o", "x", "none"):
            met = walked(session, select(Order).where(Order.state == state).order_by(Order.total, Order.state.desc()), 3)
            assert [o.state for o in met] == [state] * (0 if state == "none" else 20)
        for states in (["o"], ["o", "x"], []):
            assert len(walked(session, select(Order).where(Order.state.in_(states)).order_by(Order.total), 3)) == 20 * len(states)


def test_eager_loading_and_criteria_hold(engine: Engine) -> None:
    """Criteria hold for the parts of a page as well: a page would be short where they did not."""
    criteria = with_loader_criteria(Order, Order.id >= 20)
    with Session(engine) as session:
        for options in (
            (joinedload(Order.lines), joinedload(Order.customer)),
            (selectinload(Order.lines),),
            (criteria,),
            (criteria, joinedload(Order.lines)),
        ):
            query = select(Order).order_by(Order.total, Order.state.desc()).options(*options)
            pages = [page := PAGER.page(session, query, limit=6)]
            while page.next:
                pages.append(page := PAGER.page(session, query, page.next, limit=6))
            wanted = 20 if criteria in options else 40
            assert [len(page) for page in pages[:-1]] == [6] * (wanted // 6)
            assert sum(map(len, pages)) == wanted
            assert all(len(o.lines) == o.id % 4 for page in pages for o in page)


def test_ties_are_broken_by_no_more_than_is_needed(engine: Engine) -> None:
    from pgcharter.runtime.pages_select import Selected

    def order(query: Any) -> list[str]:
        return [str(k.expression) for k in Selected(query).keys]

    assert order(select(Order).join(Order.customer).order_by(Customer.name)) == ["customers.name", "orders.id"]
    assert order(select(Order).outerjoin(Order.customer).order_by(Order.state)) == ["orders.state", "orders.id"]
    assert order(select(Order).join(Order.lines).order_by(Order.state)) == ["orders.state", "orders.id", "lines.n"]
    assert order(select(Line).where(Line.order_id == 3)) == ["lines.n"]
    assert order(select(Customer).outerjoin(Order, Order.customer_id == Customer.id)) == ["customers.id", "orders.id"]
    assert order(select(Order).order_by(Order.id.desc(), Order.state)) == ["orders.id", "orders.state"]


def test_a_query_of_its_own_shape_needs_its_tie(engine: Engine) -> None:
    sub = select(Order.customer_id, func.sum(Order.total).label("total")).group_by(Order.customer_id).subquery()
    query = select(sub).order_by(sub.c.total.desc())
    with Session(engine) as session:
        with pytest.raises(UsageError, match="nothing tells the rows of a Subquery apart"):
            PAGER.page(session, query)
        assert len(walked(session, query, 2, tie=[sub.c.customer_id])) == 7
        with pytest.raises(UsageError, match="same place in the order"):
            walked(session, select(Order).order_by(Order.state), 2, tie=[Order.total])


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (select(Order.state).distinct(), "the query has DISTINCT"),
        (select(Order.state).group_by(Order.state), "the query has GROUP BY"),
        (select(Order).limit(3), "the query has LIMIT"),
        (select(Order).order_by("state"), "ordered by text, 'state'"),
        (select(Order).order_by(text("state")), "ordered by text, 'state'"),
        (select(Order).union(select(Order)), "a CompoundSelect cannot be read in pages"),
        (text("SELECT 1"), "a TextClause cannot be read in pages"),
    ],
)
def test_what_has_no_pages_says_so(engine: Engine, query: Any, sentence: str) -> None:
    with Session(engine) as session, pytest.raises(UsageError, match=sentence):
        PAGER.page(session, query)


@pytest.mark.parametrize("limit", [0, -1, 1001, True, "7"])
def test_limits_have_bounds(engine: Engine, limit: Any) -> None:
    with Session(engine) as session, pytest.raises(UsageError, match="a page has 1 to 1000 rows"):
        PAGER.page(session, select(Order), limit=limit)


def test_an_offset_is_refused_beyond_the_limit(engine: Engine) -> None:
    with Session(engine) as session:
        page = PAGER.offset_page(session, select(Order).order_by(Order.id), 10, limit=5)
        assert [o.id for o in page] == [10, 11, 12, 13, 14]
        assert [o.id for o in PAGER.page(session, select(Order).order_by(Order.id), page.previous, limit=5)] == [5, 6, 7, 8, 9]
        assert PAGER.offset_page(session, select(Order), 1000).items == []
        with pytest.raises(UsageError, match="offset 1,001 is asked for, and 1,000 is the most") as refused:
            PAGER.offset_page(session, select(Order), 1001)
        assert "keyset" in refused.value.hint


def test_a_cursor_is_bound_to_filters_order_and_tenant(engine: Engine) -> None:
    query = select(Order).where(Order.state == "o").order_by(Order.total)
    with Session(engine) as session:
        with context(tenant="acme"):
            cursor = PAGER.page(session, query, limit=2).next
            for other in (
                select(Order).where(Order.state == "x").order_by(Order.total),
                select(Order).where(Order.state == "o").order_by(Order.total.desc()),
                select(Order).where(Order.state == "o").order_by(Order.total.nulls_first()),
                select(Order).where(Order.state != "o").order_by(Order.total),
                select(Customer),
            ):
                with pytest.raises(OtherQueryCursorError):
                    PAGER.page(session, other, cursor, limit=2)
            assert PAGER.page(session, select(Order.id).where(Order.state == "o").order_by(Order.total), cursor, limit=2)
        with pytest.raises(OtherTenantCursorError):
            PAGER.page(session, query, cursor, limit=2)


def test_a_value_without_a_stable_name_is_refused(engine: Engine) -> None:
    class Strange:
        pass

    with Session(engine) as session, pytest.raises(UsageError, match="Strange, which reads differently in every process"):
        PAGER.page(session, select(Order).where(Order.extra == bindparam("x", Strange())))


@pytest.mark.parametrize("major", [15])
def test_collations_are_the_servers(engine: Engine, major: int) -> None:
    """Equal in a collation that does not tell case is a tie; what is greater is for the server to say."""
    with engine.connect() as conn:
        if not conn.scalar(text("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'")):
            lacking(f"this PostgreSQL {major} is built without ICU")
        conn.execute(text("CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"))
        conn.execute(text("CREATE TABLE words (id int PRIMARY KEY, word text COLLATE nocase)"))
        conn.execute(
            text("INSERT INTO words SELECT n, (ARRAY['a', 'A', 'ä', 'Ä', 'b', NULL, 'ß', 'ss'])[n % 8 + 1] FROM generate_series(1, 30) n")
        )
        driver = conn.connection.driver_connection
        met = walked(driver, Listing("SELECT * FROM words", ["word desc"], ["id"]), 3)
        assert met == [tuple(row) for row in conn.execute(text("SELECT * FROM words ORDER BY word DESC, id DESC"))]


class Named:
    def __init__(self, id: int, name: str) -> None:  # noqa: A002
        self.id, self.name = id, name


def test_row_factories_see_their_own_columns(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE t AS SELECT n AS id, CASE WHEN n % 3 > 0 THEN 'n%' || n % 4 END AS name FROM generate_series(1, 20) n")
        query = Listing("SELECT id, name FROM t;", ["name"], ["id"])
        for factory, shape in ((dict_row, dict), (namedtuple_row, tuple), (class_row(Named), Named), (scalar_row, int)):
            conn.row_factory = factory  # type: ignore[assignment]
            page = PAGER.page(conn, query, limit=3)
            page = PAGER.page(conn, query, page.next, limit=3)
            assert all(isinstance(item, shape) for item in page)
            assert not isinstance(page.items[0], dict) or list(page.items[0]) == ["id", "name"]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT * FROM t WHERE name LIKE 'n%'", ()),
        ("SELECT * FROM t WHERE name LIKE %s", ("n%",)),
        ("SELECT * FROM t WHERE name LIKE %(like)s AND 'n%%' = %(like)s -- to the end", {"like": "n%"}),
        (SQL("SELECT * FROM {}").format(Identifier("t")), ()),
        ("WITH q AS (SELECT * FROM t) SELECT * FROM q ;\n", ()),
    ],
)
def test_the_text_of_a_query_is_taken_as_it_is(database: str, sql: Any, parameters: Any) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE t AS SELECT n AS id, 'n%' || n % 4 AS name FROM generate_series(1, 20) n")
        for order in (["name"], ["name desc nulls last"], [Key("length(name)", descending=True), "name"], []):
            met = walked(conn, Listing(sql, order, ["id"], parameters), 3)
            assert sorted(met) == conn.execute("SELECT * FROM t ORDER BY id").fetchall()
        assert coverage(conn, Listing(sql, ["name"], ["id"], parameters)).hint == "CREATE INDEX CONCURRENTLY ON public.t (name, id)"


def test_async_reads_the_same(engine: Engine, database: str) -> None:
    query = select(Order).order_by(Order.total.desc(), Order.state)

    async def read() -> None:
        made = create_async_engine(url(database))
        async with AsyncSession(made) as session, await psycopg.AsyncConnection.connect(database) as conn:
            page, other = await PAGER.async_page(session, query), await PAGER.async_page(conn, listing)
            met, ids = list(page), [row[0] for row in other]
            while page.next:
                page, other = await PAGER.async_page(session, query, page.next), await PAGER.async_page(conn, listing, other.next)
                met, ids = met + page.items, ids + [row[0] for row in other]
            assert [o.id for o in met] == ids
            assert len(ids) == 40
            assert (await PAGER.async_offset_page(session, query, 2)).items[0].id == ids[2]
            assert not (await coverage.aio(session, query)).covered
            with pytest.raises(UncoveredError):
                await Pager(["0123456789abcdef"], uncovered="raise").async_page(session, query)
        await made.dispose()

    listing = Listing("SELECT id, total, state FROM orders", ["total desc", "state"], ["id"])
    asyncio.run(read())


def test_coverage_names_the_index_or_the_one_that_is_missing(engine: Engine) -> None:
    with Session(engine) as session:
        found = coverage(session, select(Order).order_by(Order.id.desc()))
        assert (found.covered, found.index) == (True, "orders_pkey")
        for query, advice in (
            (select(Order).where(Order.state == "o").order_by(Order.total), "ON orders (state, total, id)"),
            (select(Order).order_by(Order.total.desc()), "ON orders (total, id)"),
            (select(Order).order_by(Order.total.desc().nulls_last()), "ON orders (total DESC NULLS LAST, id DESC)"),
            (select(Order).order_by(func.lower(Order.state), Order.total + 1), "ON orders (lower(state), (total + 1), id)"),
            (select(Order).join(Order.customer).where(Customer.name == "x").order_by(Order.extra), "ON orders (extra, id)"),
        ):
            found = coverage(session, query)
            assert not found.covered
            assert found.hint == f"CREATE INDEX CONCURRENTLY {advice}"
            session.execute(text(found.hint.replace("CONCURRENTLY ", "")))
            assert coverage(session, query).covered, query
        across = coverage(session, select(Order).join(Order.customer).order_by(Customer.name, Order.total))
        assert "an index is of one table" in across.hint
        assert session.scalar(text("SHOW enable_sort")) == "on"


def test_an_index_is_named_as_sql_writes_it(engine: Engine) -> None:
    class Odd(DeclarativeBase):
        pass

    class Thing(Odd):
        __tablename__ = 'Größe "%"'
        id: Mapped[int] = mapped_column("Id %", primary_key=True)
        tag: Mapped[str | None] = mapped_column("Ä b")

    with Session(engine) as session:
        Odd.metadata.create_all(session.connection())
        hint = coverage(session, select(Thing).order_by(Thing.tag)).hint
        assert hint == 'CREATE INDEX CONCURRENTLY ON "Größe ""%""" ("Ä b", "Id %")'
        session.add_all(Thing(id=n, tag=None if n % 3 else "x%") for n in range(20))
        assert len(walked(session, select(Thing).where(Thing.tag.like("x%") | Thing.tag.is_(None)).order_by(Thing.tag), 3)) == 20


def test_an_order_without_index_is_told_once(engine: Engine) -> None:
    query = select(Order).order_by(Order.total)
    with Session(engine) as session:
        warner = Pager(["0123456789abcdef"], uncovered="warn")
        with pytest.warns(UncoveredWarning, match=r"no index gives the order total, id: every page .*CREATE INDEX"):
            warner.page(session, query)
        warner.page(session, query)
        strict = Pager(["0123456789abcdef"], uncovered="raise")
        for _ in range(2):
            with pytest.raises(UncoveredError) as missing:
                strict.page(session, query)
        session.execute(text(missing.value.hint.replace("CONCURRENTLY ", "")))
        assert strict.page(session, query)


def test_pages_far_in_read_what_they_show(database: str) -> None:
    """EXPLAIN: every part of a page is a range of the index; nothing is filtered away, nothing sorted but the page."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE big (id int PRIMARY KEY, kind int NOT NULL, at int, CHECK (id > 0))")
        conn.execute("INSERT INTO big SELECT n, n % 3, nullif(n % 1000, 0) FROM generate_series(1, 60000) n")
        conn.execute("CREATE INDEX ON big (kind, at DESC, id DESC)")
        conn.execute("CREATE INDEX ON big (at, id)")
        conn.execute("VACUUM ANALYZE big")
        for order, place in (
            (["kind not null", "at desc"], ("1", "500", "30000")),
            (["at"], ("500", "30000")),
            (["at"], (None, "30000")),
            (["kind not null", "at desc"], ("1", None, "30000")),
        ):
            from pgcharter.runtime.cursors import Position

            for backward in (False, True):
                sql, parameters = Listing("SELECT * FROM big", order, ["id"]).statement(Position(place, backward), 21)
                row = conn.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + sql.encode(), parameters).fetchone()
                assert row
                assert sum(_read(row[0][0]["Plan"])) <= 21 * 4, (order, place, row)


def _read(plan: dict[str, Any]) -> Iterator[int]:
    if "Scan" in plan["Node Type"] and "Relation Name" in plan:
        yield plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    for inside in plan.get("Plans", ()):
        yield from _read(inside)
