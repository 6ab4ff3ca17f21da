"""Deleted rows are found by no kind of statement, and by all of them where they are asked for."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import CursorResult, Engine, delete, exists, func, select, text, union, union_all, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    Session,
    aliased,
    immediateload,
    joinedload,
    lazyload,
    scoped_session,
    selectinload,
    sessionmaker,
    subqueryload,
    with_polymorphic,
)
from tests.db.test_flows import url
from tests.runtime.models_shop import Base, Line, Note, Order, Owner, Place, Town  # noqa: F401  (fixture `engine` makes its tables)

from pgcharter.errors import UsageError
from pgcharter.runtime.models_session import ModelSession, serve_models
from pgcharter.runtime.models_soft_delete import (
    delete_for_good,
    for_good,
    only_deleted,
    restore,
    showing_deleted,
    with_deleted,
)

Sessions = sessionmaker[Session]


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    """Owner a with order 1 (deleted) and 2, owner b with 3, owner c (deleted) with 4 (deleted, by cascade)."""
    made = serve_models(sessionmaker(engine))
    with made.begin() as session:
        session.add_all(
            [
                Owner(name="a", orders=[Order(no=1), Order(no=2)], notes=[Note(text="kept")]),
                Owner(name="b", orders=[Order(no=3)]),
                Owner(name="c", orders=[Order(no=4, lines=[Line(text="x")])], notes=[Note(text="kept")]),
            ]
        )
    with made.begin() as session:
        session.delete(session.scalars(select(Order).where(Order.no == 1)).one())
        session.delete(session.scalars(select(Owner).where(Owner.name == "c")).one())
    return made


A = aliased(Order)
ONE = Order.no == 1
STATEMENTS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "columns": (select(Order.no), [2, 3], [1, 2, 3, 4]),
    "alias": (select(A.no), [2, 3], [1, 2, 3, 4]),
    "join": (select(Order.no).select_from(Owner).join(Owner.orders), [2, 3], [1, 2, 3, 4]),
    "join on": (select(Owner.name).join(Order, Order.owner_id == Owner.id), ["a", "b"], ["a", "a", "b", "c"]),
    "outer join": (select(Owner.name).outerjoin(Owner.orders).where(Order.id.is_(None)), [], []),
    "subquery": (select(select(Order.no).subquery().c.no), [2, 3], [1, 2, 3, 4]),
    "cte": (select(select(Order.no).cte().c.no), [2, 3], [1, 2, 3, 4]),
    "lateral": (select(Owner.name, select(Order.no).where(Order.owner_id == Owner.id).lateral().c.no), ["a", "b"], ["a", "a", "b", "c"]),
    "union": (union(select(Order.no), select(A.no)), [2, 3], [1, 2, 3, 4]),
    "union below": (select(union_all(select(Order.no), select(A.no)).subquery().c.no), [2, 2, 3, 3], [1, 1, 2, 2, 3, 3, 4, 4]),
    "exists": (select(Owner.name).where(exists().where(Order.owner_id == Owner.id, ONE)), [], ["a"]),
    "not exists": (select(Owner.name).where(~exists().where(Order.owner_id == Owner.id, ONE)), ["a", "b"], ["b", "c"]),
    "exists of an alias": (select(Owner.name).where(exists().where(A.owner_id == Owner.id, A.no == 1)), [], ["a"]),
    "exists alone": (select(exists().where(ONE)), [False], [True]),
    "exists of a select": (select(exists(select(Order).where(ONE))), [False], [True]),
    "any": (select(Owner.name).where(Owner.orders.any(ONE)), [], ["a"]),
    "any without words": (select(Owner.name).where(~Owner.orders.any()), [], []),
    "has": (select(Order.no).where(Order.owner.has(Owner.name == "c")), [], [4]),
    "any below": (select(select(Owner.name).where(Owner.orders.any(ONE)).subquery().c.name), [], ["a"]),
    "where alone": (select(Owner.name).where(Order.owner_id == Owner.id, ONE), [], ["a"]),
    "in": (select(Owner.name).where(Owner.id.in_(select(Order.owner_id).where(ONE))), [], ["a"]),
    "not in": (select(Owner.name).where(Owner.id.not_in(select(Order.owner_id))), [], []),
    "scalar": (select(select(func.count(Order.id)).scalar_subquery()), [2], [4]),
    "count": (select(func.count()).select_from(Order), [2], [4]),
    "count below": (select(func.count()).select_from(select(Order).subquery()), [2], [4]),
    "group": (select(func.count(Order.id)).group_by(Order.owner_id), [1, 1], [1, 1, 2]),
    "distinct": (select(Order.owner_id.is_(None)).distinct(), [False], [False]),
    "polymorphic": (select(func.count()).select_from(with_polymorphic(Place, "*")), [0], [0]),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_finds_a_deleted_row_unless_it_is_asked_to(sessions: Sessions, name: str) -> None:
    statement, living, everything = STATEMENTS[name]
    with sessions() as session:
        for _ in range(2):  # the second time from what SQLAlchemy has compiled before
            assert sorted(row[0] for row in session.execute(statement)) == living
            assert sorted(row[0] for row in session.execute(statement.options(with_deleted()))) == everything
            with showing_deleted(session):
                assert sorted(row[0] for row in session.execute(statement)) == everything


def numbers(orders: Any) -> list[int]:
    return sorted(order.no for order in orders)


def test_entities_the_old_query_and_statements_that_are_not_looked_at(sessions: Sessions) -> None:
    with sessions() as session:
        both = select(Order).from_statement(union_all(select(Order), select(Order).where(Order.no < 0)))
        assert numbers(session.scalars(select(Order))) == numbers(session.scalars(both)) == numbers(session.query(Order)) == [2, 3]
        assert session.query(Order).filter_by(no=1).count() == 0
        assert numbers(session.scalars(select(Order).options(only_deleted(Order)))) == [1, 4]
        found = session.execute(select(Owner.name, Order.no).join(Owner.orders).options(only_deleted(Order)))
        assert sorted(map(tuple, found)) == [("a", 1), ("c", 4)]
        assert sorted(session.scalars(select(Order.__table__.c.no))) == [1, 2, 3, 4]


LOADS: dict[str, Callable[..., Any]] = {
    "lazy": lazyload, "selectin": selectinload, "joined": joinedload, "subquery": subqueryload, "immediate": immediateload,
}  # fmt: skip


@pytest.mark.parametrize("load", LOADS)
def test_relationships_however_they_are_loaded(sessions: Sessions, load: str) -> None:
    asked = select(Owner).where(Owner.name == "a").options(LOADS[load](Owner.orders))
    for options, wanted in (((), [2]), ((with_deleted(),), [1, 2])):
        with sessions() as session:
            owner = session.scalars(asked.options(*options)).unique().one()
            assert numbers(owner.orders) == wanted
            session.refresh(owner)
            assert numbers(owner.orders) == wanted
            session.expire(owner)
            assert numbers(owner.orders) == wanted
            session.refresh(owner, ["orders"])
            assert numbers(owner.orders) == wanted
            with showing_deleted(session):
                session.expire(owner)
                assert numbers(owner.orders) == [1, 2]
            session.expire(owner)
            assert numbers(owner.orders) == wanted


def test_get_and_refresh(sessions: Sessions) -> None:
    """By key: from the database, from the session's own objects, and along a many-to-one."""
    with sessions() as session:
        key = session.scalars(select(Order.id).where(ONE).options(with_deleted())).one()
        assert session.get(Order, key) is None
        held = session.get(Order, key, options=[with_deleted()])
        assert held is not None
        assert held.no == 1
        assert session.get(Order, key) is None
        session.refresh(held)
        assert held.deleted_at is not None
        with showing_deleted(session):
            assert session.get(Order, key) is held
    with sessions() as session:
        four = session.scalars(select(Order).where(Order.no == 4).options(only_deleted(Order))).one()
        assert four.owner.name == "c"
        assert session.get(Owner, four.owner_id) is None
        three = session.scalars(select(Order).where(Order.no == 3)).one()
        owner = three.owner
        session.delete(owner)
        session.flush()
        assert session.get(Owner, owner.id) is None
        session.expire(three, ["owner"])
        assert three.owner is None


def test_what_is_deleted_in_a_session_and_what_cascades(sessions: Sessions) -> None:
    """Children with the mixin are marked at the same time, those without stay; the transaction's clock is the time of all."""
    with sessions() as session, showing_deleted(session):
        owner = session.scalars(select(Owner).where(Owner.name == "c")).one()
        (order,) = owner.orders
        assert owner.deleted_at == owner.updated_at == order.deleted_at == order.lines[0].deleted_at
        assert (owner.version, order.version, len(owner.notes)) == (2, 2, 1)
        assert restore(session, owner) == 3
        session.commit()
    with sessions() as session:
        owner = session.scalars(select(Owner).where(Owner.name == "c")).one()
        assert [line.text for line in owner.orders[0].lines] == ["x"]
        assert (owner.deleted_at, owner.version) == (None, 3)
        assert restore(session, owner) == 0


def test_only_what_was_deleted_together_comes_back(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.delete(session.scalars(select(Owner).where(Owner.name == "a")).one())
    with sessions.begin() as session:
        owner = session.scalars(select(Owner).where(Owner.name == "a").options(with_deleted())).one()
        assert restore(session, owner) == 2
    with sessions() as session:
        assert numbers(session.scalars(select(Order))) == [2, 3]


def test_a_child_that_its_parent_lets_go_of(sessions: Sessions) -> None:
    """delete-orphan, from a collection and from a scalar; a note has no mixin and is really gone."""
    with sessions.begin() as session:
        owner = session.scalars(select(Owner).where(Owner.name == "a")).one()
        owner.orders.remove(owner.orders[0])
        owner.notes.clear()
    with sessions() as session:
        assert session.execute(text("SELECT no, owner_id IS NULL, deleted_at IS NULL FROM app.orders WHERE no = 2")).all() == [
            (2, False, False)
        ]
        assert session.scalar(select(func.count()).select_from(Note)) == 1
    with sessions.begin() as session:
        owner = session.scalars(select(Owner).where(Owner.name == "b")).one()
        owner.orders = [Order(no=9)]
    with sessions() as session:
        assert numbers(session.scalars(select(Order))) == [9]


def test_who_deletes_a_row_without_the_mixin_deletes_it(sessions: Sessions) -> None:
    with sessions.begin() as session, session.no_autoflush:
        owner = session.scalars(select(Owner).where(Owner.name == "a")).one()
        session.delete(owner.notes[0])
        session.delete(owner)
    with sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM app.notes")) == 1


def test_bulk_statements(sessions: Sessions) -> None:
    with sessions() as session:
        three = session.scalars(select(Order).where(Order.no == 3)).one()
        done: CursorResult[Any] = session.execute(update(Order).values(no=Order.no + 10))  # type: ignore[assignment]
        assert (done.rowcount, three.no, three.version) == (2, 13, 2)
        gone = session.execute(delete(Order).where(Order.no == 13).returning(Order.no, Order.version))
        assert [tuple(row) for row in gone] == [(13, 3)]
        assert three.deleted_at is not None
        assert session.get(Order, three.id) is None
        within = update(Owner).where(Owner.id.in_(select(Order.owner_id))).values(name=Owner.name + "!")
        assert session.execute(within.execution_options(synchronize_session=False)).rowcount == 1  # type: ignore[attr-defined]
        assert session.execute(update(Order).values(no=0).options(with_deleted())).rowcount == 4  # type: ignore[attr-defined]
        assert session.query(Order).filter(Order.no == 0).delete() == 1
        session.commit()
        assert session.scalar(text("SELECT count(*) FROM app.orders WHERE deleted_at IS NOT NULL")) == 4


def test_tables_beside_the_one_that_is_changed(sessions: Sessions) -> None:
    """UPDATE … FROM and DELETE … USING: of a deleted owner or order nothing is changed; and SET in a given order counts versions too."""
    with sessions() as session:
        mine: Any = update(Owner).where(Owner.id == Order.owner_id, ONE).values(name="x").execution_options(synchronize_session=False)
        assert session.execute(mine).rowcount == 0  # type: ignore[attr-defined]
        assert session.execute(mine.options(with_deleted())).rowcount == 1  # type: ignore[attr-defined]
        assert session.execute(mine.options(only_deleted(Order))).rowcount == 1  # type: ignore[attr-defined]
        mine = delete(Order).where(Order.owner_id == Owner.id, Owner.name == "c").execution_options(synchronize_session=False)
        assert session.execute(mine).rowcount == 0  # type: ignore[attr-defined]
        three = session.scalars(select(Order).where(Order.no == 3)).one()
        session.execute(update(Order).where(Order.no == 3).ordered_values((Order.no, 33)))
        assert (three.no, three.version) == (33, 2)


def test_objects_are_pickled_with_what_their_loads_inherit(sessions: Sessions) -> None:
    asked = select(Owner).where(Owner.name == "a")
    for options, wanted in (((), [2]), ((with_deleted(),), [1, 2])):
        with sessions() as session:
            held = pickle.dumps(session.scalars(asked.options(*options)).one())
        with sessions() as session:
            owner = session.merge(pickle.loads(held), load=False)
            assert numbers(owner.orders) == wanted
            with showing_deleted(session):
                session.expire(owner, ["orders"])
                assert numbers(owner.orders) == [1, 2]


def test_for_good(sessions: Sessions) -> None:
    with sessions.begin() as session:
        one = session.scalars(select(Order).where(ONE).options(with_deleted())).one()
        delete_for_good(session, one)
        assert session.execute(delete(Line).options(for_good())).rowcount == 1  # type: ignore[attr-defined]
    with sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM app.orders")) == 3


def test_a_key_of_a_deleted_row_can_be_used_again(sessions: Sessions) -> None:
    with sessions() as session:
        session.add(Owner(name="c"))
        session.commit()
        old = session.scalars(select(Owner).where(Owner.name == "c").options(only_deleted(Owner))).one()
        with pytest.raises(IntegrityError, match="idx_owners_name"):
            restore(session, old)


def test_trees_and_classes_in_two_tables(engine: Engine) -> None:
    """A self-reference that is loaded by a join is filtered in a refresh too, where the row itself is not."""
    made = serve_models(sessionmaker(engine))
    with made.begin() as session:
        session.add(Place(name="land", below=[Town(name="graz", people=1), Town(name="linz", people=2), Place(name="wood")]))
    with made.begin() as session:
        graz = session.scalars(select(Town).where(Town.people == 1)).unique().one()
        session.delete(graz)
    with made() as session:
        land = session.scalars(select(Place).where(Place.name == "land")).unique().one()
        assert sorted(place.name for place in land.below) == ["linz", "wood"]
        session.refresh(land)
        assert sorted(place.name for place in land.below) == ["linz", "wood"]
        assert session.scalars(select(Town.people)).all() == [2]
        every = with_polymorphic(Place, "*")
        assert sorted(p.name for p in session.scalars(select(every)).unique()) == ["land", "linz", "wood"]
        session.delete(land)
        session.commit()
        session.refresh(land)
        assert land.deleted_at is not None
        assert session.scalars(select(Place.name)).all() == []


def test_all_that_makes_sessions(engine: Engine, database: str) -> None:
    class Own(Session):
        def greet(self) -> str:
            return "hello"

    served = serve_models(Own)
    assert issubclass(served, ModelSession)
    assert served(engine).greet() == "hello"
    assert serve_models(served) is served
    assert isinstance(serve_models(scoped_session(sessionmaker(engine, class_=Own)))(), ModelSession)
    assert serve_models(Session) is ModelSession
    made = create_async_engine(url(database))
    assert isinstance(serve_models(async_sessionmaker(made))().sync_session, ModelSession)
    assert isinstance(serve_models(AsyncSession)(made).sync_session, ModelSession)
    with pytest.raises(UsageError, match="makes no sessions"):
        serve_models(engine)


def test_async(sessions: Sessions, database: str) -> None:
    async def work() -> None:
        engine = create_async_engine(url(database))
        made = serve_models(async_sessionmaker(engine))
        async with made() as session:
            owner = (await session.scalars(select(Owner).where(Owner.name == "a").options(selectinload(Owner.orders)))).one()
            assert numbers(owner.orders) == [2]
            key = owner.id
            await session.delete(owner)
            await session.flush()
            assert owner.deleted_at == owner.updated_at  # nothing left to be loaded
            assert await session.get(Owner, key) is None
            await session.commit()
            assert await session.get(Owner, key) is None
            again = await session.get(Owner, key, options=[with_deleted()])
            assert again is not None
            assert await restore.aio(session, again) == 2
            await session.commit()
            assert numbers(await session.scalars(select(Order))) == [2, 3]
            with showing_deleted(session):
                assert numbers(await session.scalars(select(Order))) == [1, 2, 3, 4]
            assert (await session.execute(delete(Order).where(Order.no == 2))).rowcount == 1  # type: ignore[attr-defined]
        await engine.dispose()

    asyncio.run(work())
