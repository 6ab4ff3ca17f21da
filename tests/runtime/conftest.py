"""With env PGCHARTER_POOLED=1 the shared servers are reached through PgBouncer in transaction mode, whose sessions are used in turn.

A test that is about a session itself is marked `direct`, with the reason, and skipped there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from tests.db.test_flows import url
from tests.runtime import poolers
from tests.runtime.poolers import POOLED, Pooler

from pgcharter.servers.lifecycle import Server


@pytest.fixture
def pooler() -> Pooler:
    """`with pooler(server, {"user": "password"}, 4) as port`: a PgBouncer with 4 sessions of the server for each user."""
    return poolers.pooler


if POOLED:

    @pytest.fixture(scope="session", autouse=True)
    def unprepared() -> Iterator[None]:
        with poolers.unprepared():
            yield

    @pytest.fixture(scope="session")
    def server_of(server_of: Callable[[int | None], Server]) -> Iterator[Callable[[int | None], Any]]:
        """As ever, through one PgBouncer for each server."""
        with ExitStack() as stack:
            running: dict[int, Any] = {}

            def get(major: int | None) -> Any:
                server = server_of(major)
                if server.major not in running:
                    running[server.major] = stack.enter_context(poolers.as_asked(server))
                return running[server.major]

            yield get

    @pytest.fixture
    def database(database: str) -> str:
        """As ever, with all sessions open."""
        poolers.fill(database)
        return database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marked = item.get_closest_marker("direct")
        if POOLED and marked:
            item.add_marker(pytest.mark.skip(reason=f"direct: {marked.args[0]}"))


@pytest.fixture
def engine(database: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine on a database with the tables of the module's `Base`, in schema app."""
    made = create_engine(url(database))
    with made.begin() as conn:
        conn.execute(text("CREATE SCHEMA app"))
        request.module.Base.metadata.create_all(conn)
    yield made
    made.dispose()
