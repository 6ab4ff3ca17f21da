"""Alembic projects: the whole chain of revisions, rendered as SQL and built on a scratch server, with places in the revision files.

`env.py` is the user's program and runs. Whatever address it connects to, every SQLAlchemy connection opened meanwhile is led to the scratch
server, so that no migration can reach a real database.
"""

from __future__ import annotations

import configparser
import contextlib
import io
import linecache
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.findings import Finding, Gap, Place, Severity
from pgcharter.names import ObjectId
from pgcharter.sources import Look, Progress, taken_on
from pgcharter.sources.generated import Emitted, build, state, statements
from pgcharter.sources.models import described, foreign_code
from pgcharter.sources.pythontext import shown
from pgcharter.sqltext import Statement

if TYPE_CHECKING:
    from types import FrameType

    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from pgcharter.sources.build import Builder

VERSIONS = "alembic_version"
"""Alembic's own table."""
ADDRESS = "postgresql+psycopg://scratch"
"""What env.py is told to connect to; where connections really lead is decided by `_led_to`."""
_UNSEEN = Gap("what env.py and the revisions do outside of Alembic's connection", "only statements sent through Alembic are seen")
_DRIVERS = {"psycopg": "dbname", "psycopg_async": "dbname", "psycopg2": "dbname", "asyncpg": "database"}
"""Drivers that can be led to the scratch server, with their word for the database."""


class Project:
    """An Alembic configuration with its revisions."""

    def __init__(self, target: str) -> None:
        try:
            from alembic.config import Config
            from alembic.script import ScriptDirectory
            from alembic.util import CommandError
        except ImportError:
            raise UnavailableError(
                "Alembic is not installed, so its projects cannot be read", hint="pip install 'pgcharter[alembic]'"
            ) from None
        path = Path(target).expanduser()
        self.target = target
        self.stopped_at: Place | None = None
        """Where the last run failed."""
        self.ini = (path / "alembic.ini" if path.is_dir() else path).resolve()
        self.config: Config = Config(str(self.ini))
        beside = self.ini.parent / "pyproject.toml"
        try:
            location = self.config.file_config.get("alembic", "script_location", fallback="")
            if not location and beside.is_file():
                self.config = Config(str(self.ini), toml_file=beside)
                location = self.config.get_alembic_option("script_location") or ""
            self.address = self.config.file_config.get("alembic", "sqlalchemy.url", fallback="", raw=True).replace("%%", "%")
            """What alembic.ini itself has to connect to."""
        except (configparser.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{shown(str(self.ini))} is no configuration file: {described(error)}") from None
        if not location:
            raise UsageError(f"{target} has no [alembic] section with script_location, so it is no Alembic project")
        try:
            with self.inside(), foreign_code():
                self.script: ScriptDirectory = ScriptDirectory.from_config(self.config)
                revisions = list(self.script.walk_revisions("base", "heads"))
                self.heads = tuple(self.script.get_heads())
        except CommandError as error:
            raise PgcharterError(f"{target} cannot be read: {str(error).splitlines()[0]}") from None
        except Exception as error:
            raise PgcharterError(f"{target} cannot be read: {described(error)}") from None
        if not revisions:
            raise UsageError(f"{target} holds no revision", hint="alembic revision -m 'first'")
        self.files = {str(Path(r.path).resolve()): shown(r.path) for r in revisions}

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Work as if Alembic had been started beside its configuration."""
        path = list(sys.path)
        with contextlib.chdir(self.ini.parent):
            sys.path.insert(0, str(self.ini.parent))
            try:
                yield
            finally:
                sys.path[:] = path

    def texts(self) -> dict[str, str]:
        """Text of every revision file by the name it is shown under."""
        return {name: Path(path).read_text("utf-8", "replace") for path, name in self.files.items()}

    def here(self) -> Place:
        """The line of a revision file that is being executed now; the configuration file when it is none."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            found = self._place(frame, frame.f_lineno)
            if found:
                return found
            frame = frame.f_back
        return Place(shown(str(self.ini)), 1)

    def origin(self, error: BaseException) -> Place:
        """The line of a revision file where `error` arose; the configuration file when it is none."""
        found = [self._place(frame, line) for frame, line in walk_tb(error.__traceback__)]
        return next(filter(None, reversed(found)), Place(shown(str(self.ini)), 1))

    def _place(self, frame: FrameType, number: int) -> Place | None:
        name = self.files.get(os.path.realpath(frame.f_code.co_filename))
        if name is None:
            return None
        line = linecache.getline(frame.f_code.co_filename, number)
        return Place(name, number, len(line) - len(line.lstrip()) + 1)

    def findings(self) -> list[Finding]:
        """SRC03 when the chain has several heads."""
        if len(self.heads) < 2:
            return []
        message = f"the revisions end in {len(self.heads)} heads ({', '.join(self.heads)}), so `alembic upgrade head` refuses to run"
        place = Place(shown(self.script.get_revision(self.heads[-1]).path), 1)
        return [
            Finding("SRC03", message, place=place, severity=Severity.ERROR, hint="alembic merge heads", facts={"heads": list(self.heads)})
        ]


def read(
    target: str,
    *,
    major: int | None = None,
    scratch_url: str | None = None,
    server: bool = True,
    progress: Progress | None = None,
    looks: Sequence[Look] = (),
) -> Reading:
    """Read the folder or `alembic.ini` of an Alembic project.

    Raises UsageError when it is none, PgcharterError when its revisions cannot be loaded or run, UnavailableError when Alembic is missing.
    """
    project = Project(target)
    if not server:
        with _led_to(""):
            emitted, why = _offline(project)
        if why:
            raise PgcharterError(
                f"{target} cannot be rendered as SQL without a database: {why}", hint="let it be built: leave out --no-server"
            )
        wanted, findings = statements(emitted)
        found = (*project.findings(), *findings)
        return Reading(target, "alembic", statements=tuple(wanted), findings=found, gaps=(_UNSEEN,), texts=project.texts())
    from pgcharter.servers.scratch import open_scratch
    from pgcharter.sources import recorder
    from pgcharter.sources.build import Builder
    from pgcharter.sources.trace import Trace

    with open_scratch(major, url=scratch_url) as scratch, scratch.database() as database, scratch.database() as second:
        recorder.install(database.admin)
        builder = Builder(database, trace=Trace(scratch.major))
        gaps, findings, stopped = [_UNSEEN], list[Finding](), ""
        with _led_to(database.dsn):
            emitted, why = _offline(project)
            if why:
                emitted, wanted, stopped = _online(project, builder)
                gaps.append(
                    Gap("the chain as a script", f"`alembic upgrade --sql` fails ({why}), so it was run on the scratch server instead")
                )
                if stopped and not emitted:
                    raise PgcharterError(f"{target} cannot be run: {stopped}", place=str(project.stopped_at or ""))
                if stopped:
                    last = emitted[-1].place if emitted else None
                    gaps.append(Gap("the revisions from here on", f"the upgrade stops: {stopped}", last))
        if not why:
            wanted, findings = statements(emitted)
        elif stopped:
            wanted, findings = statements(emitted)
            recorder.install(second.admin)
            database, builder = second, Builder(second, trace=Trace(scratch.major))
        if not why or stopped:
            build(database, builder, wanted, (lambda n: progress("building", n, len(wanted))) if progress else None)
        if stopped and not builder.refusals:
            findings = [*findings, _stopped(project, stopped)]
        reading = state(
            target,
            "alembic",
            database,
            builder,
            wanted=wanted,
            given=[ObjectId("table", "public", VERSIONS), ObjectId("index", "public", VERSIONS + "_pkc"), ObjectId("schema", "", "public")],
            findings=(*project.findings(), *findings),
            gaps=gaps,
            texts=project.texts(),
        )
        return taken_on(database, reading, looks)


def _stopped(project: Project, why: str) -> Finding:
    """SRC01 for an upgrade that stops though PostgreSQL refuses nothing."""
    message = f"the upgrade stops here: {why}; what this revision and those after it make was not looked at"
    return Finding("SRC01", message, place=project.stopped_at, severity=Severity.ERROR, facts={"detail": why})


def _offline(project: Project) -> tuple[list[Emitted], str]:
    """Every statement of `alembic upgrade heads --sql` with the line that asked for it; the reason when that mode does not work."""
    from alembic.ddl.impl import DefaultImpl

    found: list[Emitted] = []
    original = DefaultImpl.static_output

    def take(impl: Any, text: str) -> None:
        table = impl.context_opts.get("version_table") or VERSIONS
        if table not in text and not text.startswith("--"):
            found.append(Emitted(text.replace("\t", "    "), project.here()))
        original(impl, text)

    DefaultImpl.static_output = take  # type: ignore[method-assign, assignment]
    try:
        why = _run(project, as_sql=True)
    finally:
        DefaultImpl.static_output = original  # type: ignore[method-assign]
    return found, why


def _online(project: Project, builder: Builder) -> tuple[list[Emitted], list[Statement], str]:
    """Run the chain on the scratch database itself, every statement numbered as it passes; the reason when it stops."""
    from sqlalchemy import Engine, event

    from pgcharter.sources import recorder

    emitted: list[Emitted] = []
    wanted: list[Statement] = []
    own = set(project.files.values())
    opened = False

    def border(word: str) -> None:
        """A transaction begins or ends here, as `alembic upgrade --sql` writes it out."""
        nonlocal opened
        opened = word == "BEGIN"
        item = Emitted(word, Place(shown(str(project.ini)), 1))
        emitted.append(item)
        wanted.extend(statements([item])[0])

    def ended(_conn: Any) -> None:
        if opened:
            border("COMMIT")

    def mark(conn: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        item = Emitted(sql, project.here())
        if VERSIONS in sql or item.place.file not in own:
            return sql, parameters
        alone = bool(getattr(conn.connection.dbapi_connection, "autocommit", False))
        if opened is alone:
            border("COMMIT" if alone else "BEGIN")
        parsed = statements([item])[0] or [Statement("unknown", sql, item.place)]
        emitted.append(item)
        wanted.append(parsed[0])
        builder.numbered.append(parsed[0])
        builder.built.append(parsed[0])
        return recorder.mark(len(builder.numbered) - 1) + sql, parameters

    event.listen(Engine, "before_cursor_execute", mark, retval=True)
    event.listen(Engine, "commit", ended)
    try:
        why = _run(project, as_sql=False)
    finally:
        event.remove(Engine, "before_cursor_execute", mark)
        event.remove(Engine, "commit", ended)
    return emitted, wanted, why


def _run(project: Project, *, as_sql: bool) -> str:
    """Run env.py with the whole chain to apply. Returns why it failed; empty when it did not."""
    import logging

    from alembic.runtime.environment import EnvironmentContext

    script, config = project.script, project.config
    config.set_main_option("sqlalchemy.url", ADDRESS)
    config.output_buffer = io.StringIO()
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable

    def upgrade(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("heads", revision)

    noise = io.StringIO()
    try:
        with project.inside(), contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            kept = EnvironmentContext(config, script, fn=upgrade, as_sql=as_sql, starting_rev=None, destination_rev="heads")
            with kept:
                script.run_env()
    except SystemExit as error:
        project.stopped_at = project.origin(error)
        return f"it ends the program with exit code {error.code}"
    except Exception as error:
        project.stopped_at = project.origin(error)
        return described(error)
    finally:
        root.handlers[:], root.level = handlers, level
        logging.disable(disabled)
    return ""


@contextlib.contextmanager
def _led_to(dsn: str) -> Iterator[None]:
    """Lead every connection that SQLAlchemy opens meanwhile to `dsn`, whatever address the program asked for; nowhere when it is empty."""
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy import Engine, event

    scratch = conninfo_to_dict(dsn)

    def connect(dialect: Any, _record: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
        if not dsn:
            raise UsageError("env.py asks for a database connection")
        word = _DRIVERS.get(dialect.driver)
        if word is None:
            raise UsageError(f"env.py connects with the driver {dialect.driver}, which cannot be led to a scratch server",
                             hint="use psycopg, psycopg2 or asyncpg")  # fmt: skip
        arguments.clear()
        keywords.clear()
        keywords.update({k: v for k, v in scratch.items() if k in ("host", "port", "user", "password")})
        keywords[word] = scratch["dbname"]

    event.listen(Engine, "do_connect", connect)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", connect)
