"""`pgcharter server`: the project's own PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.output import Command, F, format_option, screen, show, show_json
from pgcharter.errors import Exit, PgcharterError

if TYPE_CHECKING:
    from pgcharter.servers.project import ProjectServer, Status

PASSWORD = "--show-password"  # noqa: S105


def _project_option(function: F) -> F:
    return click.option(
        "--project",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Folder whose server is meant; by default the one of pgcharter.toml here or above, else this one.",
    )(function)


def _password_option(function: F) -> F:
    return click.option(PASSWORD, "reveal", is_flag=True, help="Print the connection string with its password.")(function)


def _folder(given: Path | None) -> Path:
    if given:
        return given
    from pgcharter import charter

    found = charter.find(Path.cwd())
    return found.parent if found else Path.cwd()


@click.group()
def server() -> None:
    """Start, stop and use the project's own PostgreSQL.

    For development: its data lies in .pgcharter/ inside the project (or, where that cannot be, in a folder named by `status`), it
    listens on 127.0.0.1 only, and it runs on until it is stopped.
    """


@server.command(
    "start",
    cls=Command,
    examples=(
        ("pgcharter server start", "start it, or say that it runs"),
        ("pgcharter server start --major 17", "with this version, when the data folder is new"),
        ("pgcharter server start --format json", "for programs"),
    ),
)
@click.option("--major", type=click.IntRange(10, 99), metavar="N", help="PostgreSQL version of a new data folder: 15 to 18.")
@_project_option
@_password_option
@format_option
def start(major: int | None, folder: Path | None, reveal: bool, form: str) -> None:
    """Start the project's server; harmless when it runs already."""
    from pgcharter.servers import project

    running = project.start(_folder(folder), major=major)
    status = project.status(_folder(folder))
    if form == "json":
        show_json(_data(status, running, reveal, reused=running.reused))
        return
    _show_status(status, running, reveal, "was running already" if running.reused else "started")


@server.command(
    "stop",
    cls=Command,
    examples=(("pgcharter server stop", "end its sessions and stop it; the data stays"),),
)
@_project_option
@format_option
def stop(folder: Path | None, form: str) -> None:
    """Stop the project's server; the data stays. Harmless when it does not run."""
    from pgcharter.servers import project

    place = _folder(folder)
    stopped = project.stop(place)
    status = project.status(place)
    if form == "json":
        show_json(_data(status, None, reveal=False, stopped=stopped))
        return
    from pgcharter.render.page import Page

    page = Page(screen())
    page.line("PostgreSQL stopped" if stopped else "PostgreSQL was not running")
    if status.state == "stopped":
        page.line(f"  data   {status.data}")
    show(page)


@server.command(
    "status",
    cls=Command,
    examples=(
        ("pgcharter server status", "does it run, where, and how to connect"),
        (f'psql "$(pgcharter server status {PASSWORD} --format json | jq -r .dsn)"', "for programs"),
    ),
)
@_project_option
@_password_option
@format_option
def status(folder: Path | None, reveal: bool, form: str) -> int:
    """Say whether the project's server runs, and how to connect. Ends in 0 when it runs, in 3 when it does not."""
    from pgcharter.servers import project

    found = project.status(_folder(folder))
    running = project.running(_folder(folder)) if found.state == "running" else None
    if form == "json":
        show_json(_data(found, running, reveal))
    else:
        _show_status(found, running, reveal, found.state if found.state != "absent" else "has no data folder yet")
    return Exit.FINE if found.state == "running" else Exit.FAILED


@server.command(
    "psql",
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    examples=(
        ("pgcharter server psql", "the database postgres"),
        ("pgcharter server psql shop -c 'select count(*) from orders'", "a database, and anything psql understands"),
    ),
)
@_project_option
@click.argument("arguments", metavar="[DATABASE] [PSQL-OPTION]…", nargs=-1, type=click.UNPROCESSED)
def psql(folder: Path | None, arguments: tuple[str, ...]) -> None:
    """Open the project's server in psql, of the same PostgreSQL."""
    from pgcharter.servers import project

    running = project.running(_folder(folder))
    if running is None:
        raise PgcharterError("the project's server does not run, so there is nothing to connect to", hint="pgcharter server start")
    program = running.program("psql")
    environment = {name: value for name, value in os.environ.items() if name not in ("PGSERVICE", "PGPASSWORD", "PGHOSTADDR")}
    environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(running.state.port), "PGUSER": running.login.user}
    environment |= {"PGPASSFILE": str(running.pgpass), "PGDATABASE": "postgres"}
    os.execve(program, [str(program), *arguments], environment)  # noqa: S606


def _data(status: Status, running: ProjectServer | None, reveal: bool, **more: object) -> dict[str, Any]:
    data = {"format": "pgcharter-server", "version": 1, **status.to_data(), **more}
    return {**data, "dsn": running.dsn()} if running and reveal else data


def _show_status(status: Status, running: ProjectServer | None, reveal: bool, what: str) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    if running is None:
        page.line(Styled("PostgreSQL", "strong"), f" {what}" if status.state == "absent" else f" {status.major} is {what}")
        page.line("  data      ", status.data)
        page.line("  start     ", Styled("pgcharter server start", "command"))
    else:
        page.line(Styled(f"PostgreSQL {status.release}", "strong"), f" {what} on 127.0.0.1:{status.port}")
        page.line("  connect   ", Styled("pgcharter server psql", "command"))
        page.line("            ", Styled(running.dsn() if reveal else status.dsn, "command"))
        if not reveal:
            page.line("  password  ", f"in {status.pgpass} (for PGPASSFILE), or {PASSWORD}")
        page.line("  data      ", status.data)
        page.line("  log       ", status.log)
        page.line("  stop      ", Styled("pgcharter server stop", "command"))
    show(page)
