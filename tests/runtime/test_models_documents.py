"""Documents, full-text search, label paths and the types that SQLAlchemy has itself: round trips, operators, and the index that is used."""

from __future__ import annotations

import asyncio
import datetime
import re
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, Index, Integer, MetaData, Text, cast, create_engine, event, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, HSTORE, INT4MULTIRANGE, REGCONFIG, TSTZRANGE, Range, dialect
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateTable
from tests.conftest import lacking
from tests.db.test_flows import url

from pgcharter.errors import UsageError
from pgcharter.runtime.models_documents import DocumentError, document, holding_index, holds, matches, path, path_index
from pgcharter.runtime.models_search import Search, search_column
from pgcharter.runtime.models_types import Geometry, Ltree

SCHEMA = {
    "type": "object",
    "properties": {"qty": {"type": "integer"}, "lines": {"type": "array"}, "pin": {"type": "string", "pattern": "^[0-9]*$"}},
    "required": ["lines"],
}


class Address(BaseModel):
    city: str
    since: datetime.date


class Base(DeclarativeBase):
    metadata = MetaData(schema="app")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[Any] = document(SCHEMA)
    address: Mapped[Address | None] = document(Address)
    free: Mapped[Any] = document(nullable=True)


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str | None]
    search: Mapped[Any] = search_column("title", "body")


class Page(Base):
    __tablename__ = "pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None]
    language: Mapped[Any] = mapped_column(REGCONFIG, server_default=text("'german'"))
    search: Mapped[Any] = search_column("body", config_column="language", index="pages_words")


Index("idx_orders_city", path(Order.data, "address", 'the "city\'s" {name}, %s \\'))
path_index("idx_orders_qty", Order.data, "qty", as_=int)
holding_index("idx_orders_data", Order.data)


class Extra(DeclarativeBase):
    metadata = MetaData(schema="app")


class Thing(Extra):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(Ltree)
    facts: Mapped[dict[str, str | None]] = mapped_column(HSTORE)
    during: Mapped[Range[datetime.datetime]] = mapped_column(TSTZRANGE)
    pages: Mapped[Any] = mapped_column(INT4MULTIRANGE)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    __table_args__ = (Index("idx_things_place", "place", postgresql_using="gist"), Index("idx_things_tags", "tags", postgresql_using="gin"))


def plan(session: Session, statement: Any) -> str:
    """The plan for a statement that is prepared, with values that the planner does not know."""
    session.execute(text("SET LOCAL enable_seqscan = off"))
    session.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
    sent: list[Any] = []
    with_engine = session.get_bind()
    event.listen(with_engine, "before_cursor_execute", lambda *a: sent.append(a[2:4]), once=True)
    session.execute(statement)
    conn: Any = session.connection().connection.driver_connection
    sql, values = sent[0]
    usual, conn.prepare_threshold = conn.prepare_threshold, 5
    for _ in range(2):
        conn.execute(sql.encode(), values, prepare=True)
    name, sql = conn.execute("SELECT name, statement FROM pg_prepared_statements ORDER BY prepare_time DESC LIMIT 1").fetchone()
    given = ", ".join("NULL" for _ in set(re.findall(r"\$\d+", sql)))
    rows = conn.execute(f'EXPLAIN EXECUTE "{name}"{f"({given})" if given else ""}'.encode()).fetchall()
    conn.execute("DEALLOCATE ALL")  # a pooler would hand them on
    conn.prepare_threshold = usual
    return "\n".join(row[0] for row in rows)


CITY = path(Order.data, "address", 'the "city\'s" {name}, %s \\')


def test_documents_are_asked_by_indexes(engine: Engine) -> None:
    with Session(engine) as session:
        inside = {'the "city\'s" {name}, %s \\': "Graz"}
        session.add_all(
            [Order(id=n, data={"lines": [{"sku": f"a{n}", "n": n}], "qty": n, "address": inside if n == 7 else {}}) for n in range(50)]
        )
        session.flush()
        asked: dict[Any, tuple[Any, list[int]]] = {
            "idx_orders_city": (CITY == "Graz", [7]),
            "idx_orders_qty": (path(Order.data, "qty", as_=int).between(3, 5), [3, 4, 5]),
        }
        for index, (condition, wanted) in asked.items():
            assert session.scalars(select(Order.id).where(condition).order_by(Order.id)).all() == wanted
            assert index in plan(session, select(Order.id).where(condition)), index
        held = [
            holds(Order.data, {"lines": [{"sku": "a9"}]}),
            matches(Order.data, "$.lines[*] ? (@.sku == $sku && @.n < $n)", sku="a9", n=10),
        ]
        for condition in held:
            assert session.scalars(select(Order.id).where(condition)).all() == [9]
            assert "idx_orders_data" in plan(session, select(Order.id).where(condition))
        assert session.scalars(select(path(Order.data, "lines", 0, "sku")).where(Order.id == 3)).one() == "a3"
        assert session.scalars(select(path(Order.data, "qty", as_=float)).where(Order.id == 3)).one() == Decimal(3)
        assert session.scalars(select(path(Order.data, "nothing", as_=bool)).where(Order.id == 3)).one() is None


def test_variables_of_a_path_are_values(engine: Engine) -> None:
    with Session(engine) as session:
        odd = 'x" || true) // $sku'
        session.add(Order(id=1, data={"lines": [odd]}))
        session.flush()
        for value, wanted in ((odd, [1]), ("y", [])):
            assert (
                session.scalars(select(Order.id).where(matches(Order.data, '$.lines[*] ? (@ == $v && "$w" == "$w")', v=value))).all()
                == wanted
            )
    with pytest.raises(UsageError, match=r"variable \$sku, and none is given"):
        matches(Order.data, "$ ? (@.a == $sku)")
    with pytest.raises(UsageError, match="is a list"):
        matches(Order.data, "$ ? (@.a == $sku)", sku=[])
    for wrong in ({"as_": dict}, {}):
        with pytest.raises(UsageError):
            path(Order.data, *(["x"] if wrong else []), **wrong)  # type: ignore[arg-type]


def test_documents_are_validated(engine: Engine) -> None:
    with Session(engine) as session:
        for data, sentence in (({}, r"\$ does not meet required"), ({"lines": [], "qty": "1"}, r"\$\.qty does not meet type \"integer\"")):
            session.add(Order(id=1, data=data))
            with pytest.raises(StatementError, match=sentence) as raised:
                session.flush()
            assert isinstance(raised.value.orig, DocumentError)
            session.rollback()
        session.add(Order(id=1, data={"lines": [], "pin": "secret"}))
        with pytest.raises(StatementError) as raised:
            session.flush()
        assert "secret" not in str(raised.value.orig)
        session.rollback()
        session.add(Order(id=1, data={"lines": []}, address=Address(city="Graz", since=datetime.date(2026, 1, 2))))
        session.commit()
        found = session.get_one(Order, 1)
        assert found.address == Address(city="Graz", since=datetime.date(2026, 1, 2))
        session.execute(text("UPDATE app.orders SET address = '{\"city\": 1}'"))
        session.expire(found)
        with pytest.raises(DocumentError, match="the document is no Address: "):
            _ = found.address


def test_documents_changed_in_place(engine: Engine) -> None:
    """At any depth, and what was put in or taken elsewhere goes along."""
    with Session(engine) as session:
        order = Order(id=1, data={"lines": [{"sku": "a"}]}, free=[1, {"a": {}}])
        session.add(order)
        session.commit()
        order.data["lines"][0]["sku"] = "b"
        order.free[1]["a"]["b"] = [1]
        session.commit()
        order.free[1]["a"]["b"].append({"c": 1})
        order.data["lines"].extend([{"sku": "c"}])
        session.commit()
        order.free[1]["a"]["b"][1]["c"] = 2
        order.data["lines"][1].update(sku="d")
        session.commit()
        moved = order.data["lines"].pop()
        moved["sku"] = "not there any more"
        order.free.append(moved)
        session.flush()
        moved["sku"] = "e"
        session.commit()
        assert session.execute(text("SELECT data, free FROM app.orders")).one() == (
            {"lines": [{"sku": "b"}]}, [1, {"a": {"b": [1, {"c": 2}]}}, {"sku": "e"}]
        )  # fmt: skip
        order.free = None
        session.commit()
        assert session.scalar(text("SELECT free IS NULL FROM app.orders")) is True


def test_documents_async(engine: Engine, database: str) -> None:
    async def work() -> None:
        made = create_async_engine(url(database))
        async with AsyncSession(made, expire_on_commit=False) as session:
            order = Order(id=1, data={"lines": []})
            session.add(order)
            await session.commit()
            order.data["lines"].append(1)
            await session.commit()
            assert (await session.scalars(select(path(Order.data, "lines", 0)))).one() == "1"
        await made.dispose()

    asyncio.run(work())


def test_search(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(
            [
                Article(id=1, title="Running shoes", body="red and light"), Article(id=2, title="A red hat", body="goes with shoes"),
                Article(id=3, title="Shoes", body=None), Article(id=4, title="Bread", body=""),
            ]
        )  # fmt: skip
        session.flush()
        found = Search(Article.search, "shoe -hat")
        asked = select(Article.id).where(found.matches).order_by(found.rank.desc(), Article.id)
        assert session.scalars(asked).all() == [3, 1]  # a NULL in the body hides nothing
        assert session.scalars(
            select(Article.id).where(Search(Article.search, '"red hat" or bread').matches).order_by(Article.id)
        ).all() == [2, 4]
        assert session.scalars(select(Article.id).where(Search(Article.search, "' & ! (").matches)).all() == []
        assert "idx_articles_search" in plan(session, select(Article.id).where(found.matches))
        marked = select(Search(Article.search, "red").headline(Article.body, StartSel="[", StopSel="]", MaxWords=10, MinWords=5)).where(
            Article.id == 1
        )
        assert session.scalars(marked).one() == "[red] and light"
        with pytest.raises(UsageError, match="no option of ts_headline"):
            found.headline(Article.body, StartSel='"')
        session.add_all([Page(id=1, body="die Häuser"), Page(id=2, body="the houses", language="english"), Page(id=3, body=None)])
        session.flush()
        assert session.scalars(select(Page.id).where(Search(Page.search, "Haus", "german").matches)).all() == [1]
        assert session.scalars(select(Page.id).where(Search(Page.search, "house", "english").matches)).all() == [2]
        assert session.scalars(select(Page.id).where(Search(Page.search, "houses", Page.language).matches)).all() == [2]
        assert "pages_words" in plan(session, select(Page.id).where(Search(Page.search, "Haus", "german").matches))
        assert "search" not in session.get_one(Article, 1).__dict__
    with pytest.raises(UsageError, match="there are 4 weights"):
        search_column(*"abcde")


def extensions(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        there = {row[0] for row in conn.execute("SELECT name FROM pg_available_extensions")}
        for name in ("ltree", "hstore"):
            if name not in there:
                lacking(f"no extension {name} here")
            conn.execute(f"CREATE EXTENSION {name}".encode())


def test_other_types(database: str) -> None:
    extensions(database)
    made = create_engine(url(database))
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    with made.begin() as conn:
        conn.execute(text("CREATE SCHEMA app"))
        Extra.metadata.create_all(conn)
    with Session(made) as session:
        whole = Range(day, day + datetime.timedelta(days=1))
        session.add_all(
            [
                Thing(
                    id=n,
                    place=place,
                    facts={"a": "1", "b": None},
                    during=whole,
                    pages=[Range(1, 3), Range(5, 9)],
                    tags=["x", f"t{n}", 'q"{,'],
                )
                for n, place in enumerate(("shop.shoes", "shop.shoes.boots", "shop.hats"), 1)
            ]
        )
        session.commit()
        one = session.get_one(Thing, 2)
        assert (one.place, one.facts, one.during) == ("shop.shoes.boots", {"a": "1", "b": None}, whole)
        assert (list(one.pages), one.tags) == ([Range(1, 3), Range(5, 9)], ["x", "t2", 'q"{,'])
        place: Any = Thing.place
        found: dict[Any, list[int]] = {
            place.descendant_of("shop.shoes"): [1, 2], place.ancestor_of("shop.shoes.boots"): [1, 2], place.matches("*.shoes.*{1,2}"): [2],
            place == "shop.hats": [3], Thing.facts["a"] == "1": [1, 2, 3], Thing.facts.has_key("z"): [],  # type: ignore[attr-defined]
            Thing.during.contains(day): [1, 2, 3], Thing.pages.contains(cast(4, Integer)): [], Thing.tags.contains(["t3"]): [3],  # type: ignore[attr-defined]
            func.upper(Thing.during) > day: [1, 2, 3],
        }  # fmt: skip
        for condition, wanted in found.items():
            assert session.scalars(select(Thing.id).where(condition).order_by(Thing.id)).all() == wanted, str(condition)
        assert "idx_things_place" in plan(session, select(Thing.id).where(place.descendant_of("shop.shoes")))
        assert "idx_things_tags" in plan(session, select(Thing.id).where(Thing.tags.contains(["t3"])))  # type: ignore[attr-defined]
    made.dispose()


def test_other_types_in_plain_psycopg(database: str) -> None:
    from psycopg.types.hstore import register_hstore
    from psycopg.types.multirange import Multirange
    from psycopg.types.range import Range as PlainRange

    extensions(database)
    with psycopg.connect(database) as conn:
        register_hstore(psycopg.types.TypeInfo.fetch(conn, "hstore"), conn)  # type: ignore[arg-type]
        values = ("a.b", {"k": None, "l": "v"}, PlainRange(1, 5), Multirange([PlainRange(1, 3)]), ["x", None])
        sql = "SELECT %s::ltree::text, %s::hstore, %s::int4range, %s::int4multirange, %s::text[], 'a'::ltree @> 'a.b'"
        assert conn.execute(sql, values).fetchone() == (*values, True)


def test_geometry_by_name_only() -> None:
    """PostGIS is not here: what would be sent is looked at, and no more."""

    class Place(Extra):
        __tablename__ = "places"
        id: Mapped[int] = mapped_column(primary_key=True)
        at: Mapped[str] = mapped_column(Geometry("Point", 4326))
        of: Mapped[str] = mapped_column(Geometry("Polygon", geography=True))

    made = str(CreateTable(Place.__table__).compile(dialect=dialect()))  # type: ignore[arg-type]
    assert "at geometry(Point,4326)" in made
    assert '"of" geography(Polygon,4326)' in made
    asked = str(select(Place.at).where(Place.at == "SRID=4326;POINT(1 2)").compile(dialect=dialect()))
    assert "ST_AsEWKT(app.places.at)" in asked
    assert "app.places.at = ST_GeomFromEWKT(" in asked
    with pytest.raises(UsageError, match="no kind of geometry"):
        Geometry("Point); DROP")
    Extra.metadata.remove(Place.__table__)  # type: ignore[arg-type]
