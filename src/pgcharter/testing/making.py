"""What the fixtures for made-up rows and for repeated statements do with what else a test asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.testing.factories import Make, seed_of

if TYPE_CHECKING:
    import pytest

    from pgcharter.testing.sessions import Shared


@contextmanager
def made(shared: Shared, request: pytest.FixtureRequest) -> Iterator[tuple[Make, str]]:
    """The maker of rows for a test, and what is told of it when that fails."""
    given = request.config.getoption("--pgcharter-seed")
    seed = seed_of(request.node.nodeid) if given is None else int(given)
    told = f"seed {seed}: again with --pgcharter-seed={seed}"
    with ExitStack() as stack:
        yield Make(*_where(shared, request, stack, seed)), told


def _where(shared: Shared, request: pytest.FixtureRequest, stack: ExitStack, seed: int) -> tuple[Any, ...]:
    if "pg_database" in request.fixturenames:
        clone = request.getfixturevalue("pg_database")
        return stack.enter_context(psycopg.connect(clone.admin_dsn, autocommit=True)), shared.recipes, seed
    conn = request.getfixturevalue("pg_conn")
    if "pg_session" in request.fixturenames:
        return conn, shared.recipes, seed, request.getfixturevalue("pg_session")
    if "pg_async_session" not in request.fixturenames:
        return conn, shared.recipes, seed
    from sqlalchemy.orm import Session

    there = request.getfixturevalue("pg_async_session")
    session = stack.enter_context(Session(shared.engine, expire_on_commit=False))
    return conn, shared.recipes, seed, session, there.add


@contextmanager
def no_repeats(item: pytest.Function, marked: pytest.Mark | None, said: str) -> Iterator[None]:
    """Watch what the test sends over the fixtures' connection; a statement that repeats fails it where it is sent."""
    from pgcharter.runtime.repeats import LIMIT, watching

    limit = (marked.kwargs.get("limit") or (marked.args[0] if marked.args else 0)) if marked else 0
    limit = int(limit or (said if said.isdigit() and said != "1" else LIMIT))
    sessions = {"pg_session", "pg_async_session"} & {*item.fixturenames}
    names = sorted(sessions or {"pg_conn"} & {*item.fixturenames})
    with watching(*(item._request.getfixturevalue(name) for name in names), limit=limit, action="raise"):
        yield
