"""`pgcharter release`: whether the old and the new release of an application both work while the database changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgcharter.migrate.planning import Planned, Wish
    from pgcharter.migrate.query_sets import QuerySets, Stage
    from pgcharter.plan.releases import Releases

EXAMPLES = (
    ("pgcharter release check v1 v2 db/schema.sql --on db/migrations", "run queries/v1 and queries/v2 after every transaction of the plan"),
    ("pgcharter release check v1 v2 --env production --role shop_app", "as the role of the application, from what production is now"),
    ("pgcharter release check v1 v2 new.sql --on old.sql --no-views", "releases that both use the tables themselves"),
)


@click.group()
def release() -> None:
    """Prove that the old and the new release both work while the database changes."""


@release.command(cls=Command, examples=EXAMPLES)
@click.argument("old")
@click.argument("new")
@click.argument("wanted", required=False, metavar="[WANTED]")
@click.option("--queries", "folder", metavar="FOLDER", default="queries", show_default=True, help="Holds OLD/*.sql and NEW/*.sql.")
@click.option("--on", "actual", metavar="TARGET", help="What the database is now: a connection string, migrations, or a snapshot.")
@click.option("--env", "environment", metavar="NAME", help="What the database of this environment of the charter is now.")
@click.option("--rename", "renames", multiple=True, metavar="OLD=NAME", help="Declare a rename: 'column app.users.mail=email'.")
@click.option("--dropped", multiple=True, metavar="ADDRESS", help="Say that this goes for good, although something just like it comes.")
@click.option("--zone", metavar="ZONE", help="Time zone that timestamps without time zone are meant in, when one becomes timestamptz.")
@click.option("--views/--no-views", default=True, show_default=True, help="Whether the releases look through schemas of views.")
@click.option("--role", metavar="NAME", default="", help="Run the queries as this role.  [default: the owner of the tables]")
@click.option("--scratch-url", metavar="DSN", help="Try on this server instead of a throwaway one.")
@format_option
def check(
    old: str,
    new: str,
    wanted: str | None,
    folder: str,
    actual: str | None,
    environment: str | None,
    renames: tuple[str, ...],
    dropped: tuple[str, ...],
    zone: str | None,
    views: bool,
    role: str,
    scratch_url: str | None,
    form: str,
) -> int:
    """Run the recorded queries of release OLD and release NEW after every transaction of the plan, on a scratch server with rows.

    OLD must work until the gate before the contract phase, NEW from the end of what expands and fills. The folder holds OLD/*.sql and
    NEW/*.sql, rows.sql (rows that are there before), and gate.sql (what is done by hand before the contract phase).

    Exit codes: 0 both work when they must, 1 one does not, 2 wrong usage or charter, 3 a side could not be read or a step was refused, 4
    the plan has questions that only a person can answer.
    """
    from pgcharter.cli.plan import wish_of
    from pgcharter.cli.progress import progress
    from pgcharter.cli.project import project_of
    from pgcharter.migrate import query_sets
    from pgcharter.plan.releases import named
    from pgcharter.plan.settings import RELEASES

    charter = project_of(wanted or "").charter
    names = named(charter.section(RELEASES), old, new)
    sets = query_sets.read(Path(folder), (old, new))
    wish = wish_of(charter, wanted, actual, environment, renames, dropped, zone, plain=False)
    wish = replace(wish, scratch_url=scratch_url, prove=False, releases=names if views else None)
    with progress("trying both releases") as advance:
        stages = _stages(wish, sets, names, role, advance, views=views)
    if form == "json":
        show_json(_data(stages, names))
    else:
        _show(stages, names)
    return Exit.FINDINGS if any(s.broken(r) for s in stages for r in (old, new)) else Exit.FINE


def _stages(wish: Wish, sets: QuerySets, names: Releases, role: str, advance: Any, *, views: bool) -> tuple[Stage, ...]:
    from pgcharter.migrate import planning, query_sets
    from pgcharter.names import quote
    from pgcharter.servers.scratch import kept, open_scratch

    with kept():
        planned = planning.make(wish, advance)
        before = _start(planned)
        paths = {r: names.path(r) if views else quote(names.schema) for r in (names.old, names.new)}
        with open_scratch(planned.plan.major, url=wish.scratch_url) as scratch:
            return query_sets.tried(scratch, before, planned.plan, sets, paths, names.schema, role, advance)


def _start(planned: Planned) -> Any:
    if planned.plan.questions:
        hint = planned.plan.questions[0]
        raise RefusedError("the plan has questions that only a person can answer, so the releases were not tried", hint=hint)
    return planned.before


def _show(stages: Sequence[Stage], names: Releases) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    width = max(10, *(len(r) + 2 for r in (names.old, names.new)))
    page.line(Styled("".join(r.ljust(width) for r in (names.old, names.new)) + "after", "heading"))
    for stage in stages:
        cells = [_cell(stage, r) for r in (names.old, names.new)]
        page.line(*(Styled(words.ljust(width), style) for words, style in cells), f"{stage.number}  {stage.title}")
    for text, sql in _told(stages, names):
        page.blank()
        page.flow(Styled("✖ ", "error"), text, hanging=2)
        page.line(Styled(" ".join(sql.split()), "code"), indent=2)
    show(page)


def _cell(stage: Stage, release: str) -> tuple[str, str]:
    if not stage.failures[release]:
        return "works", "good"
    return ("FAILS", "error") if release in stage.must else ("fails", "dim")


def _told(stages: Sequence[Stage], names: Releases) -> Iterator[tuple[str, str]]:
    """Every failure that counts, once, with the first stage at which it is one."""
    seen = set()
    for stage in stages:
        for release in (names.old, names.new):
            for failure in stage.failures[release] if release in stage.must else ():
                key = (release, failure.query.place, failure.message)
                if key not in seen:
                    seen.add(key)
                    place = failure.query.place
                    yield f"release {release} fails from stage {stage.number} on: {failure.message} ({place})", failure.query.sql


def _data(stages: Sequence[Stage], names: Releases) -> Mapping[str, object]:
    return {
        "format": "pgcharter-release-check",
        "version": 1,
        "releases": {"old": names.old, "new": names.new},
        "works": not any(s.broken(r) for s in stages for r in s.failures),
        "stages": [
            {
                "number": s.number,
                "after": s.title,
                "phase": s.phase,
                "releases": {r: {"must_work": r in s.must, "failures": _failures(s, r)} for r in s.failures},
            }
            for s in stages
        ],
    }


def _failures(stage: Stage, release: str) -> list[dict[str, object]]:
    return [
        {"file": f.query.place.file, "line": f.query.place.line, "sql": f.query.sql, "message": f.message, "sqlstate": f.sqlstate}
        for f in stage.failures[release]
    ]
