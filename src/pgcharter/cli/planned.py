"""What `plan` and `fix` share: the forms of a plan, and writing it as a migration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli.output import screen, show, show_json
from pgcharter.errors import PgcharterError, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.migrate.alembic import Revisions
    from pgcharter.migrate.planning import Planned, Wish
    from pgcharter.render.plan import Story

F = TypeVar("F", bound=Callable[..., Any])
FORMS = ("text", "json", "markdown", "sql")


def plan_options(function: F) -> F:
    """Add `--write`, `--quiet` and `--format`."""
    options = (
        click.option("--write", "name", metavar="NAME", help="Write the plan as a migration file of that name into the migrations folder."),
        click.option("--quiet", "-q", is_flag=True, help="Leave out the SQL."),
        click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="How to print the plan."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def tell(story: Story, form: str, *, quiet: bool) -> None:
    """Print a plan in the form that was asked for."""
    from pgcharter.render import plan as text
    from pgcharter.render import plan_forms
    from pgcharter.render.page import Page

    if form == "json":
        show_json(plan_forms.data(story))
    elif form == "text":
        page = Page(screen())
        text.write(page, story, quiet=quiet)
        show(page)
    else:
        sys.stdout.writelines(plan_forms.markdown(story) if form == "markdown" else _sql(story))


def _sql(story: Story) -> Iterator[str]:
    from pgcharter.render.plan_forms import body

    yield body(story.plan.steps, story) + "\n" * (not story.plan.empty)


def write(story: Story, charter: Charter, name: str) -> None:
    """Write a plan as the next migration file. Raises RefusedError while it has questions, UsageError when there is nothing to do."""
    from pgcharter.cli.project import shortest
    from pgcharter.migrate import naming

    if story.plan.questions:
        raise RefusedError("the plan has open questions, so it was not written", hint="answer them first: see above")
    if story.plan.empty:
        raise UsageError("there is nothing to do, so no migration was written")
    path = _path(charter, name)
    naming.write({path: _text(story, name)})
    click.echo(f"wrote {shortest(path)}; apply it with: pgcharter migrate up{' --one' * _apart(charter)}", err=True)


def _apart(charter: Charter) -> bool:
    from pgcharter.cli.migrating import apart

    return apart(charter)


def warn_pending(charter: Charter, actual: str) -> None:
    """Say on stderr when files of the folder are not applied to the database a plan starts from: what they do would be planned twice."""
    from pgcharter.cli import migrating

    folder = migrating.own_folder(charter)
    if not Path(folder).is_dir() or migrating.alembic_at(folder):
        return
    try:
        place = migrating.open_place(None, actual, folder)
        with migrating.ledger_of(place) as conn:
            pending = migrating.standing_of(conn, place)[0].pending
    except PgcharterError as error:
        click.echo(f"warning: whether files of {folder} are pending on this database is not known: {error.message}", err=True)
        return
    if pending:
        names = ", ".join(e.title for e in pending[:3]) + (f" and {len(pending) - 3} more" if len(pending) > 3 else "")
        one = len(pending) == 1
        click.echo(
            f"warning: {names} of {folder} {'is' if one else 'are'} not applied to this database, so this plan does not know of "
            f"{'it' if one else 'them'}, and the same may now be written twice\n"
            f"hint: apply what is pending first: pgcharter migrate up; or plan on top of the files: pgcharter plan … --on {folder}",
            err=True,
        )


def alembic_revisions(charter: Charter, message: str, name: str | None) -> Revisions:
    """The Alembic project that a plan is to be written into. Raises UsageError when there is none, or no message."""
    from pgcharter.cli.migrating import alembic_at, default_folder

    if name:
        raise UsageError("--write and --alembic name two kinds of files", hint="leave one of them out")
    if not message.strip():
        raise UsageError("the revision has no message", hint="say what it does: pgcharter plan --alembic -m 'add total to orders'")
    folder = default_folder(charter)
    found = alembic_at(folder)
    if found is None:
        raise UsageError(f"{folder} holds no alembic.ini", hint='name its folder in pgcharter.toml: [migrate] folder = "."')
    return found


def write_revisions(story: Story, planned: Planned, wish: Wish, revisions: Revisions, message: str) -> None:
    """Write a plan as the next revisions. Raises RefusedError while it has questions, or starts from elsewhere than the head."""
    from pgcharter.cli.project import shortest
    from pgcharter.migrate import alembic_env, alembic_plan
    from pgcharter.sources import address

    alembic_plan.refuse_nothing(story)
    if planned.actual.source == "live":
        point = alembic_env.standpoint(revisions.alembic, address(wish.actual))
        alembic_plan.refuse_elsewhere(revisions, point, story)
    found = alembic_plan.parts(story.plan)
    if len(found) > 1:
        found = alembic_plan.with_ways_back(found, planned, scratch_url=wish.scratch_url, style=wish.style)
    for path in alembic_plan.write(revisions, story, found, message):
        click.echo(f"wrote {shortest(path)}", err=True)
    click.echo("apply it with: pgcharter migrate up, or alembic upgrade head", err=True)


def _text(story: Story, name: str) -> str:
    import getpass
    from datetime import UTC, datetime

    from pgcharter.render.plan_forms import migration

    return migration(story, description=name.replace("_", " "), author=getpass.getuser(), date=f"{datetime.now(UTC):%Y-%m-%d}")


def _path(charter: Charter, name: str) -> Path:
    """Where the next migration goes; its folder is made when it is the first."""
    from pgcharter.cli.migrating import alembic_at, own_folder
    from pgcharter.migrate import files, naming
    from pgcharter.migrate.settings import MIGRATE

    folder = own_folder(charter)
    if alembic_at(folder):
        raise UsageError(f"{folder} is an Alembic project, which has no SQL files", hint=f"pgcharter plan --alembic -m '{name}'")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return naming.path_for(files.read(folder, charter.section(MIGRATE)), name)
