"""Stale changes are refused, and the error says which version was expected and which was found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, select, text, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError
from tests.db.test_flows import url
from tests.runtime.models_shop import Base, Owner

from pgcharter.errors import UsageError
from pgcharter.runtime.models_session import serve_models
from pgcharter.runtime.models_versions import Change, StaleVersionError, update_versioned, update_versioned_rows


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = create_engine(url(database))
    with made.begin() as conn:
        conn.execute(text("CREATE SCHEMA app"))
        Base.metadata.create_all(conn)
    with serve_models(sessionmaker(made)).begin() as session:
        session.add_all([Owner(name="ada"), Owner(name="bob"), Owner(name="eve")])
    yield made
    made.dispose()


def owners(session: Session) -> list[Owner]:
    return list(session.scalars(select(Owner).order_by(Owner.name)))


def test_a_flush_on_an_old_version(engine: Engine) -> None:
    """Changed, deleted softly and gone meanwhile; all rows of the flush that are stale are named, and the session goes on."""
    made = serve_models(sessionmaker(engine))
    with made() as session, made() as other:
        ada, bob, eve = owners(session)
        keys = [one.id for one in (ada, bob, eve)]
        first, second, _ = owners(other)
        first.name = "changed"
        other.delete(second)
        other.commit()
        other.execute(text("DELETE FROM app.owners WHERE name = 'eve'"))
        other.commit()
        for one in (ada, bob, eve):
            one.name += "!"
        with pytest.raises(StaleVersionError) as raised:
            session.commit()
        error = raised.value
        assert isinstance(error.__cause__, StaleDataError)
        assert sorted((c.key[0], c.expected, c.found) for c in error.conflicts) == sorted(
            [(keys[0], 1, 2), (keys[1], 1, 2), (keys[2], 1, None)], key=lambda c: c[0]
        )
        assert (error.table, error.expected) == ("app.owners", 1)
        assert f"of app.owners {'is gone' if error.found is None else 'has version 2'}, and the change was made on version 1" in str(error)
        session.rollback()
        assert [one.name for one in owners(session)] == ["changed"]


def test_a_deletion_of_an_old_version_and_a_savepoint(engine: Engine) -> None:
    made = serve_models(sessionmaker(engine))
    with made() as session, made() as other:
        ada, bob, _ = owners(session)
        assert other.execute(update(Owner).where(Owner.name == "ada").values(name="changed")).rowcount == 1  # type: ignore[attr-defined]
        other.commit()
        bob.name = "kept"
        session.flush()
        with pytest.raises(StaleVersionError, match="has version 2"), session.begin_nested():
            session.delete(ada)
        session.commit()
        assert [one.name for one in owners(session)] == ["changed", "eve", "kept"]


@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only", "conditional_savepoint"])
def test_a_session_on_a_connection_of_somebody_else(engine: Engine, mode: Any) -> None:
    with engine.connect() as conn, conn.begin(), serve_models(Session)(conn, join_transaction_mode=mode) as session:
        ada = owners(session)[0]
        with engine.begin() as other:
            other.execute(text("UPDATE app.owners SET version = 7 WHERE name = 'ada'"))
        ada.name = "x"
        with pytest.raises(StaleVersionError) as raised:
            session.flush()
        assert (raised.value.expected, raised.value.found) == (1, 7)
        session.rollback()


def test_async(engine: Engine, database: str) -> None:
    async def work() -> None:
        other = create_async_engine(url(database))
        made = serve_models(async_sessionmaker(other))
        async with made() as session:
            ada = (await session.scalars(select(Owner).where(Owner.name == "ada"))).one()
            with engine.begin() as conn:
                conn.execute(text("UPDATE app.owners SET version = version + 1"))
            ada.name = "x"
            with pytest.raises(StaleVersionError) as raised:
                await session.commit()
            assert (raised.value.expected, raised.value.found) == (1, 2)
        async with await psycopg.AsyncConnection.connect(database) as conn:
            with pytest.raises(StaleVersionError, match="has version 2"):
                await update_versioned.aio(conn, "app.owners", {"name": "ada"}, {"name": "x"}, 1)
            assert await update_versioned.aio(conn, "app.owners", {"name": "ada"}, {"name": "x"}, 2) == 3
        await other.dispose()

    asyncio.run(work())


def test_plain_statements(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute('CREATE TABLE "Öde" (id int PRIMARY KEY, "a%b" text, v int NOT NULL DEFAULT 1)')
        conn.execute('INSERT INTO "Öde" SELECT n FROM generate_series(1, 4) n')
        at = 'public."Öde"'
        assert update_versioned(conn, at, {"id": 1}, {"a%b": "x%s"}, 1, column="v") == 2
        assert conn.execute('SELECT "a%b" FROM "Öde" WHERE id = 1').fetchone() == ("x%s",)
        with pytest.raises(StaleVersionError) as raised:
            update_versioned(conn, at, {"id": 1}, {"a%b": "y"}, 1, column="v")
        assert (raised.value.table, raised.value.key, raised.value.expected, raised.value.found) == (at, (1,), 1, 2)
        with pytest.raises(StaleVersionError, match=r"row 9 of public\.\"Öde\" is gone"):
            update_versioned(conn, at, {"id": 9}, {"a%b": "y"}, 1, column="v")
        changes = [Change({"id": n}, {"a%b": str(n)}, 1) for n in (2, 1, 3, 9)]
        with pytest.raises(StaleVersionError, match="and 1 rows more") as raised:
            update_versioned_rows(conn, at, changes, column="v")
        assert [(c.key, c.found) for c in raised.value.conflicts] == [((1,), 2), ((9,), None)]
        assert update_versioned_rows(conn, at, [Change({"id": 4}, {"a%b": "z"}, 1)], column="v") == [2]
        assert update_versioned_rows(conn, at, []) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"table": "owners"}, "is no address"), ({"key": {}}, "no key says which"), ({"values": {}}, "names no column"),
        ({"values": {"version": 3}}, "names version, which is counted"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(database: str, given: dict[str, Any], sentence: str) -> None:
    with psycopg.connect(database) as conn, pytest.raises(UsageError, match=sentence):
        update_versioned(conn, **{"table": "app.owners", "key": {"id": 1}, "values": {"name": "x"}, "expected": 1, **given})
