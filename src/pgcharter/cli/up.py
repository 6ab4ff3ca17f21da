"""`pgcharter up`: a running database from a folder, filled, checked, and how to connect to it."""

from __future__ import annotations

import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.project import Project
    from pgcharter.db import Connection
    from pgcharter.examples.build import File
    from pgcharter.examples.fill import Fill
    from pgcharter.examples.walk import Ground, Part, Walk
    from pgcharter.guides.score import Scorecard
    from pgcharter.render.page import Page
    from pgcharter.render.report import Report
    from pgcharter.servers.project import ProjectServer

EXAMPLES = (
    ("pgcharter up --example shop", "a marketplace of 100,000 orders; stays until Ctrl-C"),
    ("pgcharter up --example shop --once", "the same, and nothing is left running"),
    ("pgcharter up db --orders 0", "your own folder of SQL"),
)


@dataclass(frozen=True)
class Place:
    """What is brought up, and where its server lives."""

    source: Path
    """The folder with the SQL; may be read only."""
    home: Path
    """The folder that the server belongs to."""
    name: str
    """Name of the database."""
    fill: Fill | None
    example: str | None


@dataclass(frozen=True)
class Done:
    """What a run of `up` has done."""

    applied: int
    """Files applied now."""
    files: int
    build_seconds: float
    loaded: int
    """Rows counted by the fill that were loaded now."""
    there: int
    """Those that are there altogether."""
    unit: str
    fill_seconds: float


def complete_examples(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the examples, for shell completion."""
    from pgcharter import examples

    return [n for n in examples.names() if n.startswith(incomplete)]


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--example", metavar="NAME", shell_complete=complete_examples, help="Bring up an example that ships with pgcharter.")
@click.option("--once", is_flag=True, help="End after the verdict instead of staying until Ctrl-C.")
@click.option("--fresh", is_flag=True, help="Drop the database first: everything in it is lost.")
@click.option(
    "--orders", "total", type=click.IntRange(min=0), metavar="N", help="How many orders to load.  [default: 100,000 for the shop]"
)
@click.option("--fill", "fill_file", type=click.Path(path_type=Path), metavar="FILE.py", help="Run this Python file to fill the database.")
@click.option("--major", type=click.IntRange(min=1), metavar="N", help="Major version of PostgreSQL, for a new server.")
@format_option
def up(
    folder: Path | None,
    example: str | None,
    once: bool,
    fresh: bool,
    total: int | None,
    fill_file: Path | None,
    major: int | None,
    form: str,
) -> int:
    """Start PostgreSQL, build a database from SQL files, fill it, check it, and say how to connect.

    FOLDER holds .sql files and perhaps a charter; without one it is this folder. Files that were applied before are not applied again, and
    an interrupted run goes on where it was. The server stays until Ctrl-C; the data stays for the next time.

    The shop is walked through as well, when it is new and with --once: what it promises of tenants, audit and encryption is tried in it.

    Exit codes: those of `check` for the verdict; 3 when a promise does not hold; 130 when interrupted before it.
    """
    from pgcharter.cli.project import open_project

    place = _place(folder, example, fill_file)
    project = open_project(place.source)
    files = _files(place, project)
    with _terminable(), _server(place, major, fresh=fresh) as (server, conn):
        say = _Voice(form)
        say.server(server)
        done = _bring_up(conn, place, files, total, say)
        tour = _tour(conn, place, project, server, say)
        report, card = _check(place, files, project, server)
        say.verdict(report, card)
        walked = _walk(*tour, say) if tour and (once or done.applied or done.loaded) else None
        say.connect(place, server, ends=once and not server.reused)
        if form == "json":
            show_json({**_data(place, server, done, report, card), "walk": walked})
        if not once:
            _stay(server, say)
    return Exit.FINDINGS if report.failed else Exit.FINE


def _place(folder: Path | None, example: str | None, fill_file: Path | None) -> Place:
    """What the command line means. Raises UsageError when it means two things or nothing."""
    from pgcharter import examples
    from pgcharter.examples import fill

    if folder and example:
        raise UsageError("a folder and --example name two things to bring up", hint="leave one of them out")
    source = examples.folder(example) if example else (folder or Path())
    if not source.is_dir():
        near = examples.names()
        hint = f"did you mean `pgcharter up --example {source.name}`?" if source.name in near else "name a folder with .sql files"
        raise UsageError(f"there is no folder {str(source)!r}", hint=hint)
    known = examples.name_of(source)
    chosen = fill.of_file(fill_file) if fill_file else fill.of_example(known) if known else None
    home = _data_folder(known) if known else source
    return Place(source, home, database_name(known or source.resolve().name), chosen, known)


def _data_folder(example: str) -> Path:
    """Where the server of a packaged example lives: the package itself may be read only."""
    from pgcharter.examples import data_folder

    return data_folder(example)


def database_name(folder: str) -> str:
    """A database name like the folder's: lower case, letters, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")[:63]
    return name if name and not name[0].isdigit() else f"db_{name}"[:63].rstrip("_")


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM ends the work like Ctrl-C: in order."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _server(place: Place, major: int | None, *, fresh: bool) -> Iterator[tuple[ProjectServer, Connection]]:
    """The running server and a connection to the database; whoever is the last to need the server stops it."""
    from pgcharter.db import connect
    from pgcharter.examples import serving

    with serving.shared(place.home, place.name, major=major, fresh=fresh) as server, connect(server.dsn(place.name)) as conn:
        yield server, conn


def _bring_up(conn: Connection, place: Place, files: list[File], total: int | None, say: _Voice) -> Done:
    from pgcharter.cli.counting import counting
    from pgcharter.cli.progress import progress
    from pgcharter.examples import build
    from pgcharter.examples import fill as filling

    with build.alone(conn, say.waiting):
        build.install(conn)
        began = time.monotonic()
        with progress("building") as advance:
            applied = build.build(conn, files, advance)
        built = time.monotonic()
        loaded = there = 0
        say.built(place, applied, len(files), built - began)
        if place.fill:
            wanted = place.fill.TOTAL if total is None else total
            with counting("loading") as count:
                loaded = filling.fill(conn, place.fill, wanted, count)
            place.fill.finish(conn)
            there = filling.done(conn, place.fill)
    done = Done(applied, len(files), built - began, loaded, there, place.fill.UNIT if place.fill else "", time.monotonic() - built)
    say.filled(place, done)
    return done


def _files(place: Place, project: Project) -> list[File]:
    """The SQL files of the folder: what its own charter names, else all."""
    from pgcharter.examples import build

    charter = project.charter
    own = charter.path is not None and charter.path.parent.resolve() == place.source.resolve()
    targets = [t for t in (charter.check.targets if own else ()) if _holds_sql(place.source / t)]
    return build.read_files(place.source, targets)


def _holds_sql(path: Path) -> bool:
    from pgcharter.sources import layout

    return path.is_dir() or (path.is_file() and path.suffix.lower() in layout.SUFFIXES)


def _check(place: Place, files: list[File], project: Project, server: ProjectServer) -> tuple[Report, Scorecard]:
    """Hold the live database against the guide, and the files it was built from against the rules that look at text."""
    from pgcharter.cli import verdict

    section = project.charter.check
    wish = verdict.Wish(
        only=frozenset(section.only),
        skip=frozenset(section.skip),
        fail_on=section.fail_on,
        server=True,
        major=None,
        scratch_url=None,
        score=True,
        partial=True,
    )
    reading = replace(
        verdict.read_target(server.dsn(place.name), wish, project),
        target=server.shown_dsn(place.name),
        statements=tuple(s for f in files for s in f.parsed.statements if s.direction == "up"),
        texts={f.shown: f.parsed.text for f in files},
    )
    report, card = verdict.judge(reading, project, wish)
    assert card is not None  # noqa: S101 (score=True)
    return report, card


def _tour(conn: Connection, place: Place, project: Project, server: ProjectServer, say: _Voice) -> tuple[Walk, Ground] | None:
    """The walk that an example has, and its ground, with all encrypted that it needs; None when it has none, or not here."""
    from pgcharter.examples import build
    from pgcharter.examples import fill as filling
    from pgcharter.examples import walk as walks

    found = walks.of_example(place.example) if place.example else None
    if found is None or place.fill is None or filling.done(conn, place.fill) < found.LEAST:
        return None
    if not walks.can_encrypt():
        say.not_walked()
        return None
    ground = walks.ground(
        conn, server.dsn(place.name), lambda role, password: server.dsn(place.name, role, password), project.charter, place.home
    )
    with build.alone(conn, say.waiting):
        began = time.monotonic()
        say.encrypted(found.encrypt(ground), time.monotonic() - began)
    return found, ground


def _walk(walk: Walk, ground: Ground, say: _Voice) -> list[dict[str, Any]]:
    """Take it: what was seen, as data."""
    from pgcharter.cli import walking
    from pgcharter.examples import build

    parts = []
    with build.alone(ground.conn, say.waiting):
        for number, part in enumerate(walk.parts(ground), 1):
            say.walked(number, part)
            parts.append(walking.data(part))
    return parts


def _stay(server: ProjectServer, say: _Voice) -> None:
    """Return when the server has ended or somebody presses Ctrl-C."""
    from pgcharter.servers import project as servers

    try:
        say.stay()
        while servers.running(server.project):
            time.sleep(0.5)
    except KeyboardInterrupt:
        print(file=sys.stderr)


def connecting(place: Place, server: ProjectServer) -> dict[str, str]:
    """Ways to connect, none of which shows the password."""
    return {
        "psql": f"pgcharter server psql --project {shlex.quote(str(place.home))} {place.name}",
        "uri": server.shown_dsn(place.name),
        "pgpass": str(server.pgpass),
    }


def _data(place: Place, server: ProjectServer, done: Done, report: Report, card: Scorecard) -> dict[str, Any]:
    """Document `pgcharter-up`."""
    from pgcharter.render.json import VERSION, check_data

    return {
        "format": "pgcharter-up",
        "version": VERSION,
        "folder": str(place.source),
        "example": place.example,
        "database": place.name,
        "server": {
            "release": server.state.release,
            "port": server.state.port,
            "reused": server.reused,
            "data": str(server.home / "data"),
        },
        "build": {"applied": done.applied, "files": done.files, "seconds": round(done.build_seconds, 3)},
        "fill": {"unit": done.unit, "loaded": done.loaded, "there": done.there, "seconds": round(done.fill_seconds, 3)}
        if place.fill
        else None,
        "connect": connecting(place, server),
        "check": check_data([report], [card]),
    }


class _Voice:
    """What `up` says while it works; with `--format json` only what does not belong into the document, on stderr."""

    def __init__(self, form: str) -> None:
        self.silent = form == "json"

    def _page(self) -> Page:
        from pgcharter.render.page import Page

        return Page(screen())

    def _show(self, page: Page) -> None:
        if not self.silent:
            show(page)
            sys.stdout.flush()

    def _step(self, what: str, detail: str) -> None:
        from pgcharter.render.page import Styled

        page = self._page()
        page.flow(Styled("✔", "good"), f" {what}", Styled(f"  {detail}" if detail else "", "dim"), hanging=2)
        self._show(page)

    def server(self, server: ProjectServer) -> None:
        """Which PostgreSQL."""
        how = "was running" if server.reused else "started"
        self._step(f"PostgreSQL {server.state.release} {how}", f"port {server.state.port}, data in {server.home / 'data'}")

    def waiting(self) -> None:
        """Another run is at work."""
        print("another pgcharter up is building this database; waiting for it", file=sys.stderr, flush=True)

    def built(self, place: Place, applied: int, files: int, seconds: float) -> None:
        """How many files."""
        if applied:
            self._step(f"database {place.name}: {applied} of {files} files applied", f"{seconds:.1f} s")
        else:
            self._step(f"database {place.name}: all {files} files were applied before", "")

    def filled(self, place: Place, done: Done) -> None:
        """How much data."""
        if place.fill and done.loaded:
            detail = f"{done.fill_seconds:.1f} s, {done.loaded / max(done.fill_seconds, 0.001):,.0f}/s"
            total = "" if done.there == done.loaded else f", {done.there:,} there"
            self._step(f"{done.loaded:,} {done.unit} loaded{total}", detail)
        elif place.fill:
            self._step(f"{done.there:,} {done.unit} were there already", "")
        elif not place.example and (place.source / "fill.py").is_file():
            self._step("nothing loaded", f"fill.py is not run unless you say --fill {place.source / 'fill.py'}")

    def verdict(self, report: Report, card: Scorecard) -> None:
        """The verdict, then clause by clause."""
        from pgcharter.render import findings, score

        page = self._page()
        page.line()
        findings.write(page, report, everything=False, quiet=False)
        score.write(page, card)
        self._show(page)

    def encrypted(self, count: int, seconds: float) -> None:
        """How many values were encrypted now."""
        if count:
            self._step(f"{count:,} values encrypted", f"{seconds:.1f} s, {count / max(seconds, 0.001):,.0f}/s")

    def walked(self, number: int, part: Part) -> None:
        """A part of the walk."""
        from pgcharter.cli import walking

        page = self._page()
        walking.write(page, number, part)
        self._show(page)

    def not_walked(self) -> None:
        """That there is no walk, and why."""
        self._step("no walk through it", "it encrypts: pip install 'pgcharter[encryption]'")

    def connect(self, place: Place, server: ProjectServer, *, ends: bool) -> None:
        """How to reach it; when it `ends` with this run, how to keep it."""
        from pgcharter.render.page import Styled

        ways = connecting(place, server)
        page = self._page()
        page.line()
        if ends:
            page.line(Styled("connect", "heading"), Styled("  (now it stops, as --once asks; the data stays)", "dim"))
            again = f"--example {place.example}" if place.example else shlex.quote(str(place.source))
            page.line(Styled(f"pgcharter up {again}", "command"), Styled("  starts it again and stays; then, beside it:", "dim"), indent=2)
        else:
            page.line(Styled("connect", "heading"))
        page.line(Styled(ways["psql"], "command"), indent=2)
        page.line(Styled(f"or {ways['uri']} with PGPASSFILE={shlex.quote(ways['pgpass'])}", "dim"), indent=2)
        self._show(page)

    def stay(self) -> None:
        """That it goes on."""
        from pgcharter.render.page import Styled

        page = self._page()
        page.line()
        page.line(Styled("Ctrl-C stops the server; the data stays", "strong"))
        self._show(page)
