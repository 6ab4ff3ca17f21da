"""The pytest plugin. Nothing but pytest is imported until a fixture is asked for; a project that uses none is not touched."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from pgcharter.testing.databases import Clone
    from pgcharter.testing.factories import Make
    from pgcharter.testing.project import Project
    from pgcharter.testing.schemas import Schema
    from pgcharter.testing.servers import PgServer
    from pgcharter.testing.sessions import Run, Shared

_INI = (
    ("pgcharter_schema", "What the database holds: a folder of migrations, an Alembic project, a file of SQL, module:metadata."),
    ("pgcharter_postgresql", "Major version of the throwaway server: 15 to 18."),
    ("pgcharter_role", "Role that tests run as, so that its rights and row policies hold; by default who made the database."),
    ("pgcharter_context", "Whether transactions must have a context: required, or free. By default by [tenancy] in the charter."),
    ("pgcharter_no_repeats", "Whether a statement that repeats (N+1) fails every test: true, or how often it may run from one line."),
)
_TOLD = pytest.StashKey[dict[str, str]]()
"""What is told of a test that fails: heading and text."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line and of the ini file."""
    group = parser.getgroup("pgcharter", "PostgreSQL for tests (pgcharter)")
    group.addoption("--pgcharter-seed", type=int, metavar="N", help="Seed of made-up rows, for all tests; else each has its own.")
    group.addoption("--pgcharter-dsn", metavar="DSN", help="Server for tests, marked as such, instead of a throwaway one.")
    for name, told in _INI:
        parser.addini(name, told, default="")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", "no_repeats(limit=5): fails where one line runs the same statement `limit` times (N+1)")
    config.addinivalue_line("markers", "pg_role(name): runs as this role; empty: as who made the database")
    config.addinivalue_line("markers", "repeats_allowed(why): statements may repeat here, whatever the ini file says")


def pytest_report_header(config: pytest.Config) -> str | None:
    """One line, in a project that says what its database holds."""
    if not any(config.getini(name) for name, _ in _INI) and not config.getoption("--pgcharter-dsn"):
        return None
    from pgcharter.testing.telling import header

    return header(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a test fails, what would mend it is told, and the seed of its made-up rows."""
    errors = sys.modules.get("pgcharter.errors")
    error = call.excinfo.value if call.excinfo and errors else None
    if errors and isinstance(error, errors.PgcharterError) and error.hint and not hasattr(error, "__notes__"):
        error.add_note(f"hint: {error.hint}")
    report = yield
    told = item.stash.get(_TOLD, None)
    if told and report.failed:
        report.sections += [(name, text) for name, text in told.items() if (name, text) not in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """N+1: watched by marker, or in all tests by `pgcharter_no_repeats`, in what goes over the fixtures' connection."""
    marked = pyfuncitem.get_closest_marker("no_repeats")
    said = str(pyfuncitem.config.getini("pgcharter_no_repeats"))
    if (marked is None and said in ("", "false", "0")) or pyfuncitem.get_closest_marker("repeats_allowed"):
        return (yield)
    from pgcharter.testing import making

    with making.no_repeats(pyfuncitem, marked, said):
        return (yield)


@pytest.fixture(scope="session")
def pg_project(pytestconfig: pytest.Config) -> Project:
    """What the project's charter says."""
    from pgcharter.testing import project

    return project.read(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def pg_server(pytestconfig: pytest.Config, pg_project: Project) -> Iterator[PgServer]:
    """A server for tests: a throwaway one for each process of the run, or the one of --pgcharter-dsn or PGCHARTER_TEST_DSN."""
    from pgcharter.testing import servers, telling

    dsn = telling.dsn(pytestconfig)
    major = pytestconfig.getini("pgcharter_postgresql")
    with servers.given(dsn, pg_project) if dsn else servers.embedded(int(major) if major else None) as server:
        yield server


@pytest.fixture(scope="session")
def pg_schema(pytestconfig: pytest.Config) -> Schema:
    """What the database holds; by default what `pgcharter_schema` says. Override it to give metadata, a path, or a function of a DSN."""
    said: str = pytestconfig.getini("pgcharter_schema")
    return said or None


@pytest.fixture(scope="session")
def pg_role(pytestconfig: pytest.Config) -> str:
    """The role that tests run as; empty: who made the database. A single test says @pytest.mark.pg_role("name")."""
    return str(pytestconfig.getini("pgcharter_role"))


def _role(request: pytest.FixtureRequest) -> str | None:
    """The role that a test is marked with; None: that of all tests."""
    marked = request.node.get_closest_marker("pg_role")
    return str(marked.args[0]) if marked else None


@pytest.fixture(scope="session")
def pg_run(pytestconfig: pytest.Config, pg_server: PgServer, pg_project: Project, pg_schema: Schema, pg_role: str) -> Iterator[Run]:
    """What this process of the run has: the template of its databases, made once."""
    from pgcharter.testing import schemas, sessions

    root: Path = pytestconfig.rootpath
    run = sessions.Run(pg_server, pg_role, lambda dsn: schemas.install(pg_schema, dsn, pg_project, root))
    yield run
    run.close()


@pytest.fixture
def pg_database(pg_run: Run, request: pytest.FixtureRequest) -> Iterator[Clone]:
    """A database of the test's own, cloned from the template: for what commits, and for code that makes its own connections."""
    with pg_run.clone(_role(request)) as made:
        yield made


@pytest.fixture
def pg_dsn(pg_database: Clone) -> str:
    """The DSN of the test's own database, as the role that tests run as: `Database(pg_dsn)`."""
    return pg_database.dsn


@pytest.fixture(scope="session")
def pg_shared(pytestconfig: pytest.Config, pg_run: Run, pg_project: Project) -> Iterator[Shared]:
    """The database in which tests are rolled back."""
    from pgcharter.testing import sessions, telling

    shared = sessions.Shared(pg_run.databases, strict=telling.strict(pytestconfig, pg_project))
    yield shared
    shared.close()


@pytest.fixture
def pg_conn(pg_shared: Shared, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A connection of psycopg. All of it is rolled back after the test; `commit()` makes a savepoint that is kept until then."""
    with pg_shared.rolled_back(_role(request)) as conn:
        yield conn


@pytest.fixture
def pg_session(
    pg_shared: Shared,
    pg_conn: psycopg.Connection[Any],  # noqa: ARG001 (begins and rolls back)
    request: pytest.FixtureRequest,
) -> Iterator[Session]:
    """A session of SQLAlchemy, in the same transaction as `pg_conn`; code under test may commit."""
    from pgcharter.testing import sessions

    with sessions.session(pg_shared, request.node.nodeid) as made:
        yield made


@pytest.fixture
def pg_async_session(
    pg_shared: Shared,
    pg_conn: psycopg.Connection[Any],  # noqa: ARG001 (begins and rolls back)
    request: pytest.FixtureRequest,
) -> Iterator[AsyncSession]:
    """An async session of SQLAlchemy, in the same transaction as `pg_conn`, for any event loop: asyncio.run, pytest-asyncio, anyio."""
    from pgcharter.testing import sessions

    with sessions.async_session(pg_shared, request.node.nodeid) as made:
        yield made


@pytest.fixture
def pg_make(pg_shared: Shared, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes rows up, with the parents they need: `pg_make("sales.orders", status="paid")`, `pg_make(Order)`, `pg_make.many(Order, 3)`.

    In the transaction of `pg_conn` and the sessions; for a test with `pg_database` or `pg_dsn`, committed there. No row policy binds it.
    """
    from pgcharter.testing import making

    with making.made(pg_shared, request) as (make, told):
        request.node.stash[_TOLD] = {"pgcharter: made-up rows": told}
        yield make
