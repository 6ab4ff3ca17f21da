"""Purging takes what is due, in batches, and nothing along that is still wanted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tests.conftest import every_major
from tests.db.test_flows import url
from tests.runtime.models_shop import Base, Owner

from pgcharter.errors import UsageError
from pgcharter.runtime.models_purge import _Conditions, _statement, purge

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app."Ünits%" (id int, "of" int, deleted_at timestamptz, up int, PRIMARY KEY (id, "of"));
CREATE TABLE app.plain (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES app."Ünits%" ON DELETE CASCADE);
CREATE TABLE app.marked (id int PRIMARY KEY, plain int REFERENCES app.plain ON DELETE CASCADE, deleted_at timestamptz);
CREATE TABLE app.strict (id int PRIMARY KEY, marked int REFERENCES app.marked);
CREATE TABLE app.loose (id int PRIMARY KEY, marked int REFERENCES app.marked ON DELETE SET NULL);
INSERT INTO app."Ünits%"
SELECT n, 0, CASE WHEN n < 8 THEN now() - interval '40 days' WHEN n = 8 THEN now() END FROM generate_series(1, 9) n;
INSERT INTO app.plain SELECT n, n, 0 FROM generate_series(2, 6) n;
INSERT INTO app.marked VALUES (3, 3, NULL), (4, 4, now()), (5, 5, now() - interval '40 days'), (6, 6, now() - interval '40 days');
INSERT INTO app.strict VALUES (6, 6);
INSERT INTO app.loose VALUES (5, 5);
"""
MONTH = timedelta(days=30)


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    return database


def ids(conn: psycopg.Connection[Any], table: str) -> list[int]:
    return [row[0] for row in conn.execute(f"SELECT id FROM {table} ORDER BY id".encode())]


@every_major
def test_what_is_due_goes_and_what_is_wanted_stays(app: str, major: int) -> None:
    """1, 7: nothing refers to them · 2: a row without a mark, which goes along · 3: a living row below that · 4: one deleted yesterday ·
    5: one that is due, and a loose one · 6: one that something strict needs · 8, 9: not due, not deleted."""
    with psycopg.connect(app) as conn:
        assert [purge(conn, 'app."Ünits%"', MONTH, limit=3) for _ in range(3)] == [3, 1, 0]
        assert ids(conn, 'app."Ünits%"') == [3, 4, 6, 8, 9]
        assert ids(conn, "app.plain") == [3, 4, 6]
        assert ids(conn, "app.marked") == [3, 4, 6]
        assert conn.execute("SELECT marked FROM app.loose").fetchone() == (None,)
        assert purge(conn, "app.marked", datetime.now(UTC) + MONTH) == 1  # 4; 6 is needed
        conn.execute("DELETE FROM app.strict")
        assert purge(conn, "app.marked", datetime.now(UTC)) == 1
        assert purge(conn, 'app."Ünits%"', MONTH) == 2
        conn.rollback()


def test_trees_go_from_their_leaves(app: str) -> None:
    with psycopg.connect(app) as conn:
        for action in ("", " ON DELETE CASCADE"):
            conn.execute(f"CREATE TABLE app.tree (id int PRIMARY KEY, up int REFERENCES app.tree{action}, deleted_at timestamptz)".encode())
            conn.execute("INSERT INTO app.tree SELECT n, nullif(n - 1, 0), '2020-01-01' FROM generate_series(1, 3) n")
            conn.execute("INSERT INTO app.tree VALUES (4, NULL, '2020-01-01'), (5, 4, NULL)")
            assert [purge(conn, "app.tree", MONTH) for _ in range(4)] == [1, 1, 1, 0]
            assert ids(conn, "app.tree") == [4, 5]
            conn.execute("DROP TABLE app.tree")


def test_partitions_locked_rows_and_the_index(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn, psycopg.connect(app) as other:
        conn.execute("CREATE TABLE app.parts (id int PRIMARY KEY, deleted_at timestamptz) PARTITION BY HASH (id)")
        for n in (0, 1):
            conn.execute(f"CREATE TABLE app.part{n} PARTITION OF app.parts FOR VALUES WITH (MODULUS 2, REMAINDER {n})".encode())
        conn.execute("INSERT INTO app.parts SELECT n, '2020-01-01' FROM generate_series(1, 100) n")
        other.execute("UPDATE app.parts SET deleted_at = NULL WHERE id = 7")
        with conn.transaction():
            assert purge(conn, "app.parts", MONTH) == 99
        other.commit()
        with conn.transaction():
            assert purge(conn, "app.parts", MONTH) == 0
        conn.execute("CREATE TABLE app.many (id int PRIMARY KEY, deleted_at timestamptz)")
        conn.execute("INSERT INTO app.many SELECT n, CASE WHEN n < 100 THEN '2020-01-01'::timestamptz END FROM generate_series(1, 20000) n")
        conn.execute("CREATE INDEX ON app.many (deleted_at) WHERE deleted_at IS NOT NULL")
        conn.execute("ANALYZE app.many")
        sql = _statement("app.many", ["id"], "deleted_at", _Conditions((), "deleted_at").of("due", 0, ()))
        plan = conn.execute(f"EXPLAIN {sql}".encode(), {"before": datetime.now(UTC), "limit": 10}).fetchall()
        assert any("many_deleted_at_idx" in row[0] for row in plan)


def test_what_cannot_be_purged(app: str) -> None:
    with psycopg.connect(app) as conn:
        with pytest.raises(UsageError, match="has no zone"):
            purge(conn, "app.marked", datetime.now())
        with pytest.raises(UsageError, match="is no address"):
            purge(conn, "marked", MONTH)
        conn.execute("CREATE TABLE app.bare (deleted_at timestamptz)")
        with pytest.raises(UsageError, match=r"app\.bare has no primary key"):
            purge(conn, "app.bare", MONTH)


def test_of_a_mapped_class_and_async(app: str) -> None:
    engine = create_engine(url(app))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        assert purge(session, Owner, MONTH) == 0
    engine.dispose()

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(app) as conn:
            assert await purge.aio(conn, "app.marked", MONTH) == 1

    asyncio.run(work())
