"""`pgcharter plan`: the way from what a database is to what it shall be, with who waits for each step and what it loses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from pgcharter.cli.output import Command
from pgcharter.cli.planned import alembic_revisions, plan_options, tell, warn_pending, write, write_revisions
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.migrate.planning import Wish
    from pgcharter.migrate.policies import Chosen
    from pgcharter.plan.releases import Releases
    from pgcharter.plan.renames import Intent

EXAMPLES = (
    ("pgcharter plan db/schema.sql --on env:DATABASE_URL", "what must happen to this database, step by step"),
    ("pgcharter plan app.models:metadata --on db/migrations", "what the migrations do not do yet"),
    ("pgcharter plan --env production --write add_total", "the charter says what is wanted; write the plan as a migration"),
    ("pgcharter plan db --on prod.json --rename 'column app.users.mail=email'", "say what is a rename: it is never guessed"),
    ("pgcharter plan --code db/code --env production", "only functions, views and triggers, on top of what is there"),
    ("pgcharter plan --env production --format markdown", "for a comment on the pull request"),
    ("pgcharter plan app.models:metadata --alembic -m 'add total'", "the next revision of the Alembic project"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("wanted", required=False, metavar="[WANTED]")
@click.option("--on", "actual", metavar="TARGET", help="What the database is now: a connection string, migrations, or a snapshot.")
@click.option("--env", "environment", metavar="NAME", help="What the database of this environment of the charter is now.")
@click.option("--code", metavar="FOLDER", help="Files of stored code, on top of WANTED; without WANTED nothing else is planned.")
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NAME",
    help="Declare a rename: 'column app.users.mail=email', 'label app.mood.sad=blue'.",
)
@click.option("--dropped", multiple=True, metavar="ADDRESS", help="Say that this goes for good, although something just like it comes.")
@click.option("--zone", metavar="ZONE", help="Time zone that timestamps without time zone are meant in, when one becomes timestamptz.")
@click.option("--releases", nargs=2, metavar="OLD NEW", help="Let these two releases see the tables through schemas of views meanwhile.")
@click.option("--plain", is_flag=True, help="The shortest statements, for a database that nobody else uses.")
@click.option("--no-proof", is_flag=True, help="Do not try the plan on a scratch server.")
@click.option("--no-code-check", is_flag=True, help="Do not stop at what plpgsql_check says of routines that come or change.")
@click.option("--scratch-url", metavar="DSN", help="Build and try on this server instead of a throwaway one.")
@click.option("--alembic", is_flag=True, help="Write the plan as a revision of the Alembic project; without --on, of what it makes now.")
@click.option("--message", "-m", metavar="TEXT", default="", help="With --alembic: what the revision is called.")
@click.option("--check", is_flag=True, help="End in 1 when there is anything to do.")
@plan_options
def plan(
    wanted: str | None,
    actual: str | None,
    environment: str | None,
    code: str | None,
    renames: tuple[str, ...],
    dropped: tuple[str, ...],
    zone: str | None,
    releases: tuple[str, str] | None,
    plain: bool,
    no_proof: bool,
    no_code_check: bool,
    scratch_url: str | None,
    name: str | None,
    alembic: bool,
    message: str,
    check: bool,
    quiet: bool,
    form: str,
) -> int:
    """Plan the way from what a database is to what it shall be. Nothing is changed.

    WANTED describes what it shall be: a file or folder of SQL, SQLAlchemy models as module:attribute, an Alembic project, or a snapshot.
    A folder that holds nothing but stored code (routines, views, triggers, rules) is planned on top of what is there: what it makes is
    compared, what it no longer makes is dropped, in schemas where it makes code of that kind; tables and all else stay as they are.

    Each step says who waits for it, and whether it can be taken back; unsafe forms are replaced by safe sequences; the plan is tried on a
    scratch server of the same major version, there and back.

    Exit codes: 0 planned, 1 there is something to do and --check was given, 2 wrong usage or charter, 3 a side could not be read, 4 the
    plan has questions that only a person can answer.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.migrate import planning
    from pgcharter.redact import redact
    from pgcharter.render.plan import Story

    charter = _charter(wanted)
    revisions = alembic_revisions(charter, message, name) if alembic else None
    actual = actual or (revisions.target if revisions and environment is None else None)
    wish = wish_of(charter, wanted, actual, environment, renames, dropped, zone, plain=plain, code=code)
    wish = replace(wish, prove=not no_proof, checked=not no_code_check, scratch_url=scratch_url, releases=_named(charter, releases))
    with progress("planning") as advance:
        planned = planning.make(wish, advance)
    proven = planned.proof.sentence if planned.proof else ""
    story = Story(
        planned.plan, redact(" + ".join(filter(None, (wish.wanted, wish.code)))), redact(wish.actual), planned.stats, proven=proven
    )
    tell(story, form, quiet=quiet)
    if name:
        if planned.actual.source == "live":
            warn_pending(charter, wish.actual)
        write(story, charter, name)
    if revisions:
        write_revisions(story, planned, wish, revisions, message)
    if planned.plan.questions:
        return Exit.REFUSED
    return Exit.FINDINGS if check and not planned.plan.empty else Exit.FINE


def _charter(wanted: str | None) -> Charter:
    from pgcharter.cli.project import project_of

    return project_of(wanted or "").charter


def _named(charter: Charter, releases: tuple[str, str] | None) -> Releases | None:
    from pgcharter.plan.releases import named
    from pgcharter.plan.settings import RELEASES

    return named(charter.section(RELEASES), *releases) if releases else None


def wish_of(
    charter: Charter,
    wanted: str | None,
    actual: str | None,
    environment: str | None,
    renames: tuple[str, ...],
    dropped: tuple[str, ...],
    zone: str | None,
    *,
    plain: bool,
    code: str | None = None,
) -> Wish:
    """What the command line and the charter ask for together. Raises UsageError when they do not say what to plan from, or to."""
    from pgcharter.names import address
    from pgcharter.plan import settings
    from pgcharter.plan.safe_ground import Plain

    try:
        apart = {address(text) for text in dropped}
    except ValueError as error:
        raise UsageError(str(error), place="--dropped") from None
    shall = wanted or _wanted(charter, code)
    named = environment or ("" if actual or len(charter.environments) != 1 else next(iter(charter.environments)))
    said = charters_wish(charter, actual or _actual(charter, environment), named)
    return replace(
        said,
        wanted=shall,
        code=code or said.code,
        style=Plain() if plain else replace(settings.style(charter), zone=zone or charter.section(settings.PLAN).zone),
        intents=(*said.intents, *map(_intent, renames)),
        apart=said.apart | apart,
    )


def charters_wish(charter: Charter, actual: str, environment: str) -> Wish:
    """What the charter by itself asks for in a database, all of `[plan]` and the policies of an environment; it may be nothing."""
    from pgcharter.migrate.planning import Wish
    from pgcharter.plan import settings

    section = charter.section(settings.PLAN)
    return Wish(
        wanted=from_charter(charter, section.wanted) if section.wanted else "",
        code=from_charter(charter, section.code) if section.code else "",
        actual=actual,
        style=settings.style(charter),
        intents=settings.intents(charter),
        apart=settings.apart(charter),
        chosen=chosen(charter, environment),
    )


def chosen(charter: Charter, environment: str) -> Chosen | None:
    """The charter's policies for one of its environments; None without a charter, which then says nothing of what policies made."""
    from pgcharter.migrate.policies import Chosen
    from pgcharter.policy import registry

    if charter.path is None:
        return None
    known = charter.environments.get(environment)
    return Chosen(registry.chosen(charter), environment, production=bool(known and known.production))


def _wanted(charter: Charter, code: str | None) -> str:
    """What the charter says the database shall be; empty where only stored code or policies are asked for. Raises UsageError when it says
    nothing at all."""
    from pgcharter.plan.settings import PLAN
    from pgcharter.policy import registry

    section = charter.section(PLAN)
    if code or (not section.wanted and (section.code or registry.chosen(charter))):
        return ""
    return from_charter(charter, section.wanted)


def from_charter(charter: Charter, wanted: str) -> str:
    """A target that `[plan]` names. Raises UsageError when it names none."""
    from pgcharter.cli.project import from_folder

    if not wanted:
        hint = 'name it: pgcharter plan db/schema.sql --on …, or write wanted = "db/schema.sql" under [plan] in the charter'
        raise UsageError("nothing says what the database shall be", hint=hint)
    return from_folder(charter.folder, wanted)


def _actual(charter: Charter, environment: str | None) -> str:
    from pgcharter.cli.project import dsn_of

    if environment is None and len(charter.environments) != 1:
        raise UsageError("nothing says what the database is now", hint="name it with --on TARGET, or with --env NAME of the charter")
    return dsn_of(charter, environment or next(iter(charter.environments)))


def _intent(text: str) -> Intent:
    from pgcharter.names import address
    from pgcharter.plan.renames import Intent

    old, equals, name = text.rpartition("=")
    if not equals or not name.strip():
        raise UsageError(f"{text!r} declares no rename", hint="write --rename 'column app.users.mail=email'", place="--rename")
    try:
        return Intent(address(old), name.strip())
    except ValueError as error:
        raise UsageError(str(error), place="--rename") from None
