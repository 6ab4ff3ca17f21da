"""SQLAlchemy models: their DDL, built on a scratch server, with places in the Python files that define them."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.findings import Gap, Place
from pgcharter.names import ObjectId
from pgcharter.sources import Look, taken_on
from pgcharter.sources.generated import Emitted, build, state, statements
from pgcharter.sources.pythontext import Definitions

if TYPE_CHECKING:
    from sqlalchemy import MetaData

_UNSEEN = Gap(
    "grants, row policies, triggers, functions, views, comments on schemas",
    "models do not say: check the database or the migrations as well",
)


def read(
    target: str, *, major: int | None = None, scratch_url: str | None = None, server: bool = True, looks: Sequence[Look] = ()
) -> Reading:
    """Read `module:attribute`: a MetaData, a declarative base, or a function that returns one.

    Raises UsageError when it cannot be imported or is something else, UnavailableError when SQLAlchemy is missing.
    """
    metadata = load(target)
    definitions = Definitions(metadata)
    emitted = _emitted(metadata, definitions, target)
    wanted, findings = statements(emitted)
    if not server:
        return Reading(target, "models", statements=tuple(wanted), findings=tuple(findings), gaps=(_UNSEEN,), texts=definitions.texts())
    from pgcharter.servers.scratch import open_scratch
    from pgcharter.sources import recorder
    from pgcharter.sources.build import Builder

    with open_scratch(major, url=scratch_url) as scratch, scratch.database() as database:
        recorder.install(database.admin)
        schemas = sorted({t.schema for t in metadata.tables.values() if t.schema} | ({metadata.schema} if metadata.schema else set()))
        for schema in schemas:
            from pgcharter.names import quote

            database.conn.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        builder = Builder(database)
        build(database, builder, wanted)
        reading = state(
            target,
            "models",
            database,
            builder,
            wanted=wanted,
            own=_places(metadata, definitions),
            given=[ObjectId("schema", "", s) for s in (*schemas, "public")],
            findings=findings,
            gaps=(_UNSEEN,),
            texts=definitions.texts(),
        )
        return taken_on(database, reading, looks)


def load(target: str) -> MetaData:
    """Import `module:attribute` and return its MetaData. The current folder is on the import path."""
    try:
        from sqlalchemy import MetaData
    except ImportError:
        raise UnavailableError("SQLAlchemy is not installed, so models cannot be read", hint="pip install 'pgcharter[models]'") from None
    module_name = target.partition(":")[0]
    value = imported(target.removesuffix("()"))
    if callable(value) and not isinstance(value, type) and not isinstance(getattr(value, "metadata", None), MetaData):
        try:
            with foreign_code():
                value = value()
        except Exception as error:
            raise PgcharterError(f"{target} failed when called: {described(error)}") from None
    found = value if isinstance(value, MetaData) else getattr(value, "metadata", None)
    if not isinstance(found, MetaData):
        raise UsageError(
            f"{target} is a {type(value).__name__}, not a MetaData or declarative base", hint=f"pgcharter check {module_name}:Base"
        )
    if not found.tables:
        raise UsageError(f"{target} holds no table", hint="the modules that define the models must be imported by the one you name")
    return found


def imported(target: str) -> Any:
    """Import `module:attribute`, with the current folder on the import path; the object. Raises UsageError where it is not there,
    PgcharterError where its module fails."""
    module_name, _, attribute = target.partition(":")
    return _attribute(_module(module_name, target), attribute, target)


def _module(name: str, target: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with foreign_code():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"there is no module {error.name} (and no file {target!r})", hint=f"looked in {here} and the installed packages"
            ) from None
        raise PgcharterError(f"module {name} cannot be imported: it needs {error.name}, which is not installed",
                             hint=f"pip install {error.name}") from None  # fmt: skip
    except SyntaxError as error:
        raise PgcharterError(
            f"module {name} cannot be imported: {error.msg}", place=f"{error.filename}:{error.lineno}:{error.offset}"
        ) from None
    except Exception as error:
        raise PgcharterError(f"module {name} cannot be imported: {described(error)}") from None


def _attribute(module: Any, path: str, target: str) -> Any:
    value = module
    for name in path.split("."):
        if not hasattr(value, name):
            from difflib import get_close_matches

            near = get_close_matches(name, [n for n in dir(value) if not n.startswith("_")], n=1)
            raise UsageError(f"{target}: {module.__name__} has no {path}", hint=f"did you mean {near[0]}?" if near else "")
        value = getattr(value, name)
    return value


class EndedError(Exception):
    """Code that is not ours asked for the end of the program."""


@contextlib.contextmanager
def foreign_code() -> Iterator[None]:
    """Run code that is not ours: what it prints goes to stderr, where it spoils no result, and it cannot end the program.

    Raises EndedError when it tries to.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SystemExit as error:
        raise EndedError(f"it ends the program with exit code {error.code}") from None


def described(error: Exception) -> str:
    """What went wrong in code that is not ours, on one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, EndedError) else f"{type(error).__name__}: {first}"


def _emitted(metadata: MetaData, definitions: Definitions, target: str) -> list[Emitted]:
    """The DDL that `metadata.create_all` would send, each with the place of its table."""
    from sqlalchemy import create_mock_engine
    from sqlalchemy.exc import SQLAlchemyError

    found: list[Emitted] = []

    def take(element: Any, *_: Any, **__: Any) -> None:
        sql = str(element.compile(dialect=engine.dialect)).strip()
        found.append(Emitted(sql, definitions.place(getattr(element, "element", None))))

    engine = create_mock_engine("postgresql+psycopg://", take)
    try:
        with foreign_code():
            metadata.create_all(engine, checkfirst=False)
    except Exception as error:
        why = described(error) if not isinstance(error, SQLAlchemyError) else described(error).partition(": ")[2]
        raise PgcharterError(f"{target} cannot be turned into SQL: {why}") from None
    return found


def _places(metadata: MetaData, definitions: Definitions) -> dict[ObjectId, Place]:
    """Own places of columns, and of constraints and indexes on one column."""
    places: dict[ObjectId, Place] = {}
    for table in metadata.tables.values():
        schema = table.schema or "public"
        for column in table.columns:
            places[ObjectId("column", schema, table.name, column.name)] = definitions.place(column)
        for constraint in table.constraints:
            columns = list(getattr(constraint, "columns", ()))
            if constraint.name and len(columns) == 1:
                places[ObjectId("constraint", schema, table.name, str(constraint.name))] = definitions.place(columns[0])
        for index in table.indexes:
            columns = [c for c in index.expressions if getattr(c, "table", None) is table]
            if index.name and len(columns) == 1 and getattr(columns[0], "index", False):
                places[ObjectId("index", schema, str(index.name))] = definitions.place(columns[0])
    return places
