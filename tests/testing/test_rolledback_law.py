"""The law of a connection that is rolled back: whatever is done, it answers as a real one would, error for error and row for row.

More examples than the suite's: `python -m tests.testing.test_rolledback_law 20000`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pgcharter.testing.rolledback import RolledBackConnection

SCHEMA = """
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE rows (id int PRIMARY KEY, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE strict (id int REFERENCES parents DEFERRABLE INITIALLY IMMEDIATE);
"""
KEYS = st.integers(1, 4)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["parent", "row", "child", "strict"]), KEYS),
        st.tuples(st.sampled_from(["commit", "rollback", "read", "enter", "leave", "fail", "wrong", "many"]), st.just(0)),
    ),
    max_size=25,
)  # fmt: skip
SQL = {
    "parent": "INSERT INTO parents VALUES (%s)",
    "row": "INSERT INTO rows VALUES (%s, NULL)",
    "child": "INSERT INTO rows VALUES (%s + 10, %s)",
    "strict": "INSERT INTO strict VALUES (%s)",
}


class Failing(Exception):  # noqa: N818
    """Raised in a block, to leave it that way."""


class Player:
    """Plays actions on one connection, and keeps what came of each."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        self.blocks: list[Any] = []

    def play(self, action: str, key: int) -> object:
        try:
            return self._play(action, key)
        except (psycopg.Error, Failing) as error:
            return type(error).__name__, getattr(error, "sqlstate", None)

    def _play(self, action: str, key: int) -> object:
        if action in SQL:
            return self.conn.execute(SQL[action].encode(), [key] * SQL[action].count("%s")).rowcount
        if action == "many":
            with self.conn.cursor() as cursor:
                return cursor.executemany("INSERT INTO rows VALUES (%s, NULL)", [(5,), (6,)])
        if action == "read":
            return self.conn.execute("SELECT id, parent FROM rows UNION ALL SELECT id, -1 FROM strict ORDER BY 1, 2").fetchall()
        if action == "wrong":
            return self.conn.execute("SELECT * FROM nothing").fetchall()
        if action == "enter":
            block = self.conn.transaction()
            block.__enter__()
            self.blocks.append(block)
        elif action in ("leave", "fail") and self.blocks:
            self._leave(Failing() if action == "fail" else None)
        elif action in ("commit", "rollback"):
            getattr(self.conn, action)()
        return None

    def _leave(self, error: Exception | None) -> None:
        block = self.blocks.pop()
        if block.__exit__(type(error) if error else None, error, None):
            return
        if error:
            raise error

    def end(self) -> None:
        while self.blocks:
            self.play("fail", 0)


def law(real: psycopg.Connection[Any], kept: RolledBackConnection, examples: int) -> Callable[[], None]:
    """The test, over two databases that hold the same."""

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink)
    )
    @given(ACTIONS)
    def check(actions: list[tuple[str, int]]) -> None:
        kept.opened(strict=False, role="")
        players = [Player(real), Player(kept)]
        try:
            for number, action in enumerate(actions):
                one, other = (p.play(*action) for p in players)
                assert one == other, (number, one, other, actions)
            for player in players:
                player.end()
            assert players[0].play("read", 0) == players[1].play("read", 0), actions
        finally:
            for player in players:
                player.end()
            kept.undone()
            real.rollback()
            real.execute("TRUNCATE parents, rows, strict")
            real.commit()

    return check


def played(dsn: str, other: str, examples: int) -> None:
    for one in (dsn, other):
        with psycopg.connect(one) as conn:
            conn.execute(SCHEMA)  # type: ignore[arg-type]
    with psycopg.connect(dsn) as real:
        kept = RolledBackConnection.connect(other)
        try:
            law(real, kept, examples)()
            with psycopg.connect(other) as look:
                assert look.execute("SELECT count(*) FROM rows").fetchone() == (0,)
        finally:
            kept.pgconn.finish()


@pytest.fixture
def second(major_server: Any) -> Any:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE second TEMPLATE template0")
        yield major_server.dsn("second")
        admin.execute("DROP DATABASE second WITH (FORCE)")


def test_it_answers_as_a_real_one(database: str, second: str) -> None:
    played(database, second, 120)


if __name__ == "__main__":
    from pgcharter.testing import servers

    with servers.embedded() as server, psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("CREATE DATABASE a")
        admin.execute("CREATE DATABASE b")
        played(server.database("a"), server.database("b"), int(sys.argv[1]))
