"""From two targets to a plan: both read as one major version of PostgreSQL, cut to what the plan is about, planned, and tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog, Stats
from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.findings import Severity
from pgcharter.migrate import left_out, policies, proving, releases, stored_code
from pgcharter.migrate.policies import Chosen, Governed
from pgcharter.migrate.proving import Proof
from pgcharter.names import ObjectId
from pgcharter.plan import planner, renamed_from, renames
from pgcharter.plan.extent import extent
from pgcharter.plan.model import Plan
from pgcharter.plan.normal import normalised, unowned
from pgcharter.plan.releases import Releases
from pgcharter.plan.safe_ground import Safe, Style
from pgcharter.policy.marks import without as without_policies
from pgcharter.policy.model import Mark
from pgcharter.rules.library_tables import is_named
from pgcharter.sources import Look, Progress, address
from pgcharter.sources import read as read_target
from pgcharter.sources.code_check import CODES, CodeCheck

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    wanted: str
    """Target that describes what the database shall be; empty when policies alone say it."""
    actual: str
    """Target that is, or describes, what it is now."""
    code: str = ""
    """Files of stored code on top of what is wanted, or, where nothing is, of what is there."""
    scratch_url: str | None = None
    style: Style = field(default_factory=Safe)
    intents: tuple[renames.Intent, ...] = ()
    apart: frozenset[ObjectId] = frozenset()
    """Addresses of what goes for good, although something just like it comes."""
    prove: bool = True
    releases: Releases | None = None
    """The two releases of an application that are to see the tables through schemas of views meanwhile."""
    checked: bool = True
    """Whether routines that come or change are held to what plpgsql_check says of their bodies, where a server has it."""
    chosen: Chosen | None = None
    """The charter's policies; None when what policies made before is not looked at."""
    left_out: frozenset[str] = frozenset()
    """Schemas that this plan leaves as they are, with the roles named like them: those of other tenants."""


@dataclass(frozen=True)
class Planned:
    """The answer."""

    plan: Plan
    actual: Reading
    wanted: Reading
    proof: Proof | None = None
    before: Catalog | None = None
    """What the plan starts from: the actual side, cut to what the plan is about."""
    governed: Governed | None = None
    """What policies make of it; None where nobody asked."""

    @property
    def stats(self) -> Stats | None:
        """Sizes of what is there now; None when it is no live server."""
        return self.actual.stats


def make(wish: Wish, progress: Progress | None = None) -> Planned:
    """Read both sides and plan the way from one to the other.

    Raises PgcharterError when a side does not build, UnavailableError when no PostgreSQL of the target's major version is at hand to build
    the wanted side on, RefusedError when the plan, tried on a scratch server, does not lead where it should.
    """
    from pgcharter.servers.scratch import kept, open_scratch

    files = stored_code.files(wish.wanted, wish.code)
    with kept():
        actual = _read(wish.actual, None, wish, progress)
        a = _catalog(actual)
        live = actual.source == "live"
        old = left_out.marks(policies.held(address(wish.actual)), a, wish.left_out) if wish.chosen and live else ()
        actual = replace(actual, catalog=left_out.cut(a, wish.left_out))
        a = _catalog(actual)
        with open_scratch(a.major, url=wish.scratch_url) as scratch:
            there = _declared(scratch, wish, files, actual, old, progress)
            wanted, governed = there.wanted, there.governed
            a = releases.without_views(a, wish.releases) if wish.releases else a
            if governed.questions:
                return Planned(
                    Plan(questions=governed.questions, notes=governed.notes, major=a.major), actual, wanted, before=a, governed=governed
                )
            a, b, notes = _sides(a, governed.catalog, live=live, ours=governed.ours)
            b = policies.given_back(b, governed)
            intents = (*wish.intents, *renamed_from.said(wanted.places, wanted.texts))
            wish = replace(wish, intents=(*intents, *renames.implied(a, b, intents)))
            if wish.releases:
                a, b, plan = releases.planned(scratch, _catalog(actual), a, b, wish, actual.stats)
            else:
                plan = _plan(scratch, a, b, wish, actual.stats)
            plan = replace(plan, notes=(*there.notes, *governed.notes, *notes, *plan.notes))
            plan = stored_code.questioned(plan, wanted) if wish.checked else plan
            tried = wish.prove and not plan.empty and not plan.questions
            proof = proving.must_hold(proving.prove(scratch, a, plan, b, progress)) if tried else None
        plan = policies.recorded(plan, governed)
        return Planned(plan, actual, wanted, policies.untried(proof, plan) if proof else None, a, governed)


@dataclass(frozen=True)
class Declared:
    """What a wish declares, whole: a schema, stored code on top of it, and what policies add."""

    wanted: Reading
    """Without what policies add."""
    governed: Governed
    notes: tuple[str, ...] = ()
    """What a reader should know of the stored code."""


def declared(scratch: Scratch, wish: Wish, actual: Reading, old: tuple[Mark, ...] = (), progress: Progress | None = None) -> Declared:
    """Everything that `wish` declares, for the database `actual`, as its major version of PostgreSQL writes it.

    `old` is what policies made there. Raises PgcharterError for what does not build, UsageError where nothing says what is wanted.
    """
    return _declared(scratch, wish, stored_code.files(wish.wanted, wish.code), actual, old, progress)


def _declared(
    scratch: Scratch, wish: Wish, files: stored_code.Files | None, actual: Reading, old: tuple[Mark, ...], progress: Progress | None
) -> Declared:
    major = _catalog(actual).major
    wanted = _read(wish.wanted, major, wish, progress, _looks(wish)) if wish.wanted and not (files and files.alone) else None
    found, notes = _with_code(scratch, wanted, files, actual, old, _looks(wish))
    base = left_out.cut(_of_major(scratch, _catalog(found), major), wish.left_out)
    if wish.chosen and actual.source == "live":
        base = left_out.joined(base, without_policies(_catalog(actual), old), old, wish.chosen.keeps)
    return Declared(found, policies.govern(scratch, base, actual, old, wish.chosen or policies.Chosen()), notes)


def _with_code(
    scratch: Scratch, wanted: Reading | None, files: stored_code.Files | None, actual: Reading, old: tuple[Mark, ...], looks: Sequence[Look]
) -> tuple[Reading, tuple[str, ...]]:
    """The wanted side with stored code on top, and what a reader should know of it."""
    if files is None:
        return wanted or _as_it_is(actual, old), ()
    below = wanted or (_as_it_is(actual, old) if actual.source == "live" else actual)
    base = _of_major(scratch, _catalog(below), _catalog(actual).major)
    made = stored_code.make(scratch, extent(base, base).a, files, fresh=wanted is not None, looks=looks)
    if wanted is None:
        return made.reading, made.notes
    places, texts = {**wanted.places, **made.reading.places}, {**wanted.texts, **made.reading.texts}
    return replace(made.reading, places=places, texts=texts), made.notes


def _as_it_is(actual: Reading, old: tuple[Mark, ...]) -> Reading:
    """What is there, without what policies made: what policies alone are planned on. Raises UsageError where nobody knows what that is."""
    if actual.source != "live":
        raise UsageError(
            "nothing says what the database shall be, and only a live database tells what policies have made in it",
            hint="name a database: --on DSN or --env NAME; or say what is wanted: [plan] wanted in the charter",
        )
    return replace(actual, catalog=without_policies(_catalog(actual), old), source="policies")


def _of_major(scratch: Scratch, catalog: Catalog, major: int) -> Catalog:
    """A catalog as this major version writes it."""
    return catalog if catalog.major == major else _rebuilt(scratch, catalog)


def _sides(a: Catalog, b: Catalog, *, live: bool, ours: Collection[ObjectId] = ()) -> tuple[Catalog, Catalog, tuple[str, ...]]:
    """Both sides cut to what the plan is about; and what was left alone.

    What is new belongs to whoever runs the plan. What is there and made anew gets its owner back, where a live database says who that is.
    """
    cut = extent(a, b, library=is_named, ours=ours)
    a, b = normalised(cut.a, cut.b)
    return (a, unowned(b, {i for i, _ in a.objects()}), cut.notes) if live else (unowned(a), unowned(b), cut.notes)


def _plan(scratch: Scratch, a: Catalog, b: Catalog, wish: Wish, sizes: Stats | None) -> Plan:
    statements = renames.rename_statements(a, b, wish.intents)
    renamed = _renamed(scratch, a, statements) if statements else None
    return planner.plan(a, b, sizes=sizes, style=wish.style, intents=wish.intents, renamed=renamed, apart=wish.apart)


def _looks(wish: Wish) -> tuple[Look, ...]:
    return (CodeCheck(),) if wish.checked else ()


def _read(target: str, major: int | None, wish: Wish, progress: Progress | None, looks: Sequence[Look] = ()) -> Reading:
    reading = read_target(target, major=major, scratch_url=wish.scratch_url, progress=progress, looks=looks)
    refused = [f for f in reading.findings if f.severity is Severity.ERROR and f.code not in CODES]
    if refused:
        first = refused[0]
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise PgcharterError(
            f"{target} cannot be planned with, because it does not build: {first.message}{more}",
            place=str(first.place or ""),
            hint=first.hint or f"pgcharter check {target}",
        )
    return reading


def _catalog(reading: Reading) -> Catalog:
    if reading.catalog is None:
        raise PgcharterError(f"{reading.target} gives no catalog, so nothing can be planned with it")
    return reading.catalog


def _rebuilt(scratch: Scratch, catalog: Catalog) -> Catalog:
    """A catalog of another major version as this one writes it."""
    with scratch.database() as database:
        proving.build(database, catalog)
        return proving.read(database, catalog)


def _renamed(scratch: Scratch, catalog: Catalog, statements: tuple[str, ...]) -> Catalog:
    """The catalog after renames, as PostgreSQL itself carries them through views, expressions and constraints."""
    with scratch.database() as database:
        proving.build(database, catalog)
        proving.execute(database, statements)
        return normalised(catalog, proving.read(database, catalog))[1]
