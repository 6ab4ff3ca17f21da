"""A plan between two releases that see the tables through schemas of views (`plan.releases`): what PostgreSQL itself must read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog, Stats
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.migrate import proving
from pgcharter.names import ObjectId, quote
from pgcharter.plan import planner, releases, releases_between, releases_joined, renames
from pgcharter.plan.model import Plan
from pgcharter.plan.normal import normalised, unowned
from pgcharter.plan.releases import Releases
from pgcharter.plan.renames import Intent
from pgcharter.plan.safe_ground import Safe
from pgcharter.plan.safe_names import Names

if TYPE_CHECKING:
    from pgcharter.migrate.planning import Wish
    from pgcharter.servers.scratch import Scratch


def planned(scratch: Scratch, found: Catalog, a: Catalog, b: Catalog, wish: Wish, sizes: Stats | None) -> tuple[Catalog, Catalog, Plan]:
    """The way from `a` to `b` with the views of both releases, and the catalogs it begins and ends with.

    `found` is everything that was read: the old release's views may be there already. A plan whose tables alone raise questions comes back
    with them. Raises UsageError when the new release's schema is there already, or the style has no phases.
    """
    names = wish.releases
    if names is None or not isinstance(wish.style, Safe):
        raise UsageError("a plan for a database that nobody else uses has no releases side by side", hint="leave out --plain or --releases")
    _absent(found, names)
    wish = replace(wish, style=replace(wish.style, compatible=False))
    renamed = _renamed(scratch, a, b, wish)
    alone = planner.plan(a, b, sizes=sizes, style=wish.style, intents=wish.intents, renamed=renamed, apart=wish.apart)
    if alone.questions:
        return a, b, alone
    return _with_views(scratch, _with_present(found, a, names), a, b, renamed or a, wish, names, sizes)


def _with_views(
    scratch: Scratch, start: Catalog, a: Catalog, b: Catalog, renamed: Catalog, wish: Wish, names: Releases, sizes: Stats | None
) -> tuple[Catalog, Catalog, Plan]:
    both = releases_between.meanwhile(renamed, b)
    before, new = releases.views(a, a, names, names.old), releases.views(b, b, names, names.new)
    between, beside = releases.views(a, both, names, names.old, wish.intents), releases.views(b, both, names, names.new)
    if questions := (*before.questions, *new.questions, *between.questions, *beside.questions):
        return a, b, Plan(questions=tuple(dict.fromkeys(questions)), major=a.major)
    one, two, three = (_again(scratch, c) for c in (before.on(a), beside.on(between.on(both)), new.on(b)))
    first = planner.plan(start, one, sizes=sizes, style=wish.style, apart=_all(start))
    last = planner.plan(two, three, sizes=sizes, style=wish.style, apart=_all(two))
    kept = _beside(scratch, renamed, both, wish, sizes)
    if kept is None:
        middle = _planned(scratch, one, two, wish, sizes)
        plan = releases_joined.joined(first, middle, last, names)
        return (
            start,
            three,
            replace(plan, notes=(*plan.notes, *releases.retyped(before, between, names.old), *between.notes, *beside.notes)),
        )
    between = releases.views(a, kept.before, names, names.old, wish.intents)
    fresh = releases.views(b, kept.physical, names, names.new, tuple(Intent(at, name) for at, name in kept.fresh.items()))
    middle = _planned(scratch, one, _again(scratch, between.on(kept.before)), wish, sizes)
    there = planner.plan(kept.physical, fresh.on(kept.physical), style=wish.style)
    whole = _planned(scratch, start, three, wish, sizes)
    plan = releases_joined.joined(first, middle, last, names, releases_joined.Beside(kept.types, there, whole.reverse))
    return start, three, replace(plan, notes=(*plan.notes, *releases.retyped(before, between, names.old), *between.notes, *beside.notes))


def _planned(scratch: Scratch, a: Catalog, b: Catalog, wish: Wish, sizes: Stats | None) -> Plan:
    """From one catalog to another with the declared renames."""
    moved = _renamed(scratch, a, b, wish)
    return planner.plan(a, b, sizes=sizes, style=wish.style, intents=wish.intents, renamed=moved, apart=_all(a) | wish.apart)


@dataclass(frozen=True)
class _Kept:
    """Columns that keep their old type beside the new one."""

    before: Catalog
    """All but their types is as it shall be while both releases run."""
    physical: Catalog
    """The same with the columns in the new types."""
    fresh: dict[ObjectId, str]
    """What these are called."""
    types: Plan


def _beside(scratch: Scratch, old: Catalog, both: Catalog, wish: Wish, sizes: Stats | None) -> _Kept | None:
    """How the old release goes on seeing the old types; None where no column can have both, and where more hangs on those that could."""
    columns = releases_between.retypable(old, both)
    if not columns:
        return None
    try:
        before, after = _again(scratch, releases_between.with_old_types(both, columns)), _again(scratch, both)
    except PgcharterError:
        return None
    style = replace(wish.style, beside=True)  # type: ignore[arg-type]
    types = planner.plan(before, after, sizes=sizes, style=style, apart=_all(before))
    named = Names(before, after)
    fresh = {at: named.column(at.owner, at.part, "new") for at in (o.object for o in types.operations if o.object in columns)}
    added = {s.object for s in types.steps if " ADD COLUMN " in s.sql}
    wanted = {replace(at, part=name) for at, name in fresh.items()}
    if types.questions or {o.object for o in types.operations} != columns.keys() or wanted != added:
        return None
    return _Kept(before, releases_between.with_both_types(before, after, fresh), fresh, types)


def _renamed(scratch: Scratch, a: Catalog, b: Catalog, wish: Wish) -> Catalog | None:
    """`a` after the declared renames; None when there are none."""
    statements = renames.rename_statements(a, b, wish.intents)
    return _again(scratch, a, statements) if statements else None


def _again(scratch: Scratch, catalog: Catalog, statements: tuple[str, ...] = ()) -> Catalog:
    """The catalog as PostgreSQL writes it, after some statements; what belongs to nobody in particular still does."""
    with scratch.database() as database:
        proving.build(database, catalog)
        proving.execute(database, statements)
        found = normalised(catalog, proving.read(database, catalog))[1]
    owner = catalog.database.owner
    return unowned(found, {i for i, item in catalog.objects() if getattr(item, "owner", "") == owner})


def _all(catalog: Catalog) -> frozenset[ObjectId]:
    return frozenset(address for address, _ in catalog.objects())


def _absent(found: Catalog, names: Releases) -> None:
    home = names.home(names.new)
    if any(s.name == home for s in found.schemas):
        hint = f"plan it under another name, or drop what an earlier try has left: DROP SCHEMA {quote(home)} CASCADE"
        raise UsageError(f"schema {home} is there already, so release {names.new} cannot come", hint=hint)


def without_views(found: Catalog, names: Releases) -> Catalog:
    """What was read without the old release's views, which the wanted side never mentions."""
    home = names.home(names.old)
    return replace(
        found,
        schemas=tuple(s for s in found.schemas if s.name != home),
        views=tuple(v for v in found.views if v.schema != home),
        dependencies=tuple(d for d in found.dependencies if d.dependent.schema != home),
    )


def _with_present(found: Catalog, a: Catalog, names: Releases) -> Catalog:
    """`a` with the old release's views, where they are there already."""
    home = names.home(names.old)
    if any(s.name == home for s in a.schemas):
        return a
    return replace(
        a,
        schemas=(*a.schemas, *(s for s in found.schemas if s.name == home)),
        views=(*a.views, *(v for v in found.views if v.schema == home)),
        dependencies=(*a.dependencies, *(d for d in found.dependencies if d.dependent.schema == home)),
    )
