"""The project's own env.py at work for us: led to the database that pgcharter was told, with everything else as the project has it.

env.py makes its own engine and configures its own context (version table and its schema, naming conventions, hooks, `SET ROLE`, asyncio).
We change two things only: whatever address it connects to, the connection leads to our database; and the function that says which revisions
are run is ours. An env.py that migrates several databases, or several times in one run, is refused: there is no one state of it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.findings import Place
from pgcharter.sources.alembic import ADDRESS, Project
from pgcharter.sources.models import described, foreign_code
from pgcharter.sources.pythontext import shown

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext

Steps = Callable[[tuple[str, ...], "MigrationContext"], Iterable[Any]]
"""Given the heads of the version table and the context, the steps to run."""
Attach = Callable[["EnvironmentContext", "MigrationContext"], None]
_WHERE = {"host", "hostaddr", "port", "user", "password", "dbname", "database", "service", "passfile", "dsn", "ssl"}
"""Words of a driver that say where a connection leads and as whom: all others that env.py gives stay."""
_SETTING = re.compile(r"-c\s*([\w.]+)=((?:\\.|[^\s\\])*)")
"""A setting in the options of a connection string (documentation of libpq, "Parameter Key Words", options)."""
_DRIVERS = {"psycopg", "psycopg_async", "psycopg2", "asyncpg"}


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where a database stands by Alembic's own table."""

    heads: tuple[str, ...]
    table: str
    """The version table's name as env.py configures it."""
    schema: str | None


def standpoint(project: Project, dsn: str) -> Standpoint:
    """What `alembic current` would say. Nothing is written.

    Raises PgcharterError with the place when env.py fails, UsageError when it does not migrate exactly one database.
    """
    found: list[Standpoint] = []

    def look(heads: tuple[str, ...], context: MigrationContext) -> tuple[()]:
        found.append(Standpoint(tuple(heads), context.version_table, context.version_table_schema))
        return ()

    try:
        visit(project, dsn, look, dont_mutate=True)
    except (PgcharterError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise failed(project, error) from None
    if len(found) == 1:
        return found[0]
    what = f"migrates {len(found)} times in one run (several databases, or schemas)" if found else "runs no migrations"
    raise UsageError(
        f"env.py of {project.target} {what}, so its revisions have no one state that could be kept in a ledger",
        hint="give each database an alembic.ini of its own, or go on with: alembic upgrade heads",
        place=env_py(project),
    )


def env_py(project: Project) -> str:
    """The file as it is shown."""
    return shown(project.script.env_py_location)


def failed(project: Project, error: BaseException) -> PgcharterError:
    """What went wrong in env.py, as an error of ours."""
    if isinstance(error, ModuleNotFoundError) or (isinstance(error, ValueError) and "greenlet" in str(error)):
        needed = "greenlet" if isinstance(error, ValueError) else error.name
        message = f"env.py of {project.target} cannot be run: it needs {needed}, which is not installed"
        return UnavailableError(message, hint=f"pip install {needed}", place=str(origin(project, error)))
    if isinstance(error, AttributeError) and "'NoneType' object has no attribute 'configure'" in str(error):
        return PgcharterError(f"env.py of {project.target} cannot be run: {error}", place=env_py(project))
    return PgcharterError(f"env.py of {project.target} cannot be run: {described(first(error))}", place=str(origin(project, error)))


def first(error: BaseException) -> Exception:
    """What the driver said, without what SQLAlchemy adds to it: its message shows parameters."""
    found = getattr(error, "orig", None) or error
    return found if isinstance(found, Exception) else RuntimeError(str(found))


def sqlstate(error: BaseException) -> str:
    """SQLSTATE, in the words of psycopg, psycopg2 or asyncpg; empty for what is no error of the server."""
    found = first(error)
    return getattr(found, "sqlstate", None) or getattr(found, "pgcode", None) or ""


def origin(project: Project, error: BaseException) -> Place:
    """The line of the project's own files where `error` arose."""
    folder = str(project.ini.parent)
    found = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [(name, line) for name, line in found if name.startswith(folder) and "site-packages" not in name]
    revisions = [(name, line) for name, line in own if os.path.realpath(name) in project.files]
    name, line = (revisions or own or [(str(project.ini), 1)])[-1]
    return Place(shown(name), line)


def visit(project: Project, dsn: str, steps: Steps, **options: Any) -> None:
    """Run env.py; it asks `steps` what to do. Raises whatever env.py and the revisions raise."""
    with around(project):
        run(project, dsn, steps, **options)


@contextlib.contextmanager
def around(project: Project) -> Iterator[None]:
    """What holds while env.py or a revision is at work: its folder is the current one, and what it prints goes to stderr."""
    with project.inside(), _quiet(), contextlib.redirect_stdout(sys.stderr):
        yield


def run(project: Project, dsn: str, steps: Steps, attach: Attach | None = None, **options: Any) -> None:
    """Run env.py inside of `around`; `attach` is told as soon as env.py has configured its context.

    Raises whatever env.py and the revisions raise.
    """
    from alembic.runtime.environment import EnvironmentContext

    environment = EnvironmentContext(project.config, project.script, fn=steps, **{"destination_rev": "heads", **options})
    configure = environment.configure

    def configured(*arguments: Any, **keywords: Any) -> None:
        configure(*arguments, **keywords)
        if attach:
            attach(environment, environment.get_context())

    environment.configure = configured  # type: ignore[method-assign]
    project.config.set_main_option("sqlalchemy.url", _address(project.address).replace("%", "%%"))
    project.config.output_buffer = io.StringIO()
    with _led_to(dsn), foreign_code(), environment:
        project.script.run_env()


def commit(context: MigrationContext) -> bool:
    """Commit between two revisions, as an `autocommit_block` would; False where only env.py itself can."""
    if context._in_external_transaction or context.connection is None:
        return False
    if context._transaction is not None:
        context._transaction.commit()
        context._transaction = context.connection.begin()
        return True
    return not context.connection.in_transaction()


@lru_cache(maxsize=4)
def _address(text: str) -> str:
    """An address of alembic.ini, for its driver and options, where it is one of PostgreSQL's and the driver is there; else our own."""
    from sqlalchemy.engine import make_url

    try:
        url = make_url(text)
        if url.get_dialect().name == "postgresql" and url.get_dialect().driver in _DRIVERS:
            url.get_dialect().import_dbapi()
            return text
    except Exception:
        return ADDRESS
    return ADDRESS


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What env.py does to logging ends with it; Alembic's own lines (INFO) are ours to say."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    off = {name: one.disabled for name, one in root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level
        for name, was in off.items():
            logging.getLogger(name).disabled = was
        logging.disable(disabled)


@contextlib.contextmanager
def _led_to(dsn: str) -> Iterator[None]:
    """Lead every connection that SQLAlchemy opens meanwhile to `dsn`, whatever address the program asked for; none stays in a pool."""
    from sqlalchemy import Engine, event

    def connect(dialect: Any, _record: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
        if not dsn:
            raise UsageError("env.py asks for a database connection, which rendering as SQL has none of")
        if dialect.driver not in _DRIVERS:
            raise UsageError(f"env.py connects with the driver {dialect.driver}, which cannot be led to the database that is meant",
                             hint=f"use one of {', '.join(sorted(_DRIVERS))}")  # fmt: skip
        arguments.clear()
        kept = {key: value for key, value in keywords.items() if key not in _WHERE and not key.startswith("ssl")}
        keywords.clear()
        keywords.update({**kept, **_parameters(dialect.driver, dsn)})

    engines: set[Engine] = set()

    def used(conn: Any) -> None:
        engines.add(conn.engine)

    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "engine_connect", used)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", connect)
        event.remove(Engine, "engine_connect", used)
        for engine in engines:
            if not engine.dialect.is_async:
                engine.dispose()


def _parameters(driver: str, dsn: str) -> dict[str, Any]:
    """A connection string in a driver's words. asyncpg knows fewer of them."""
    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(dsn)
    if driver != "asyncpg":
        return found
    names = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "database", "sslmode": "ssl"}
    settings = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _SETTING.findall(str(found.get("options") or ""))}
    return {**{names[key]: value for key, value in found.items() if key in names}, **({"server_settings": settings} if settings else {})}
