"""One schema of views for each release, so that the old and the new one work on the same tables. Pure: catalogs in, catalogs out.

A view has the columns of its table that the release knows, under their names and in their order, and nothing else, so PostgreSQL lets rows
be written through it (documentation, CREATE VIEW, "Updatable Views"); `security_invoker` (from 15 on) lets privileges and row policies be
those of the table, for whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pgcharter.catalog.model import Acl, Catalog, Column, DataType, Dependency, Schema, Table, View
from pgcharter.errors import UsageError
from pgcharter.names import MAX_BYTES, ObjectId, quote
from pgcharter.plan.casts import holds, using
from pgcharter.plan.renames import Intent
from pgcharter.plan.settings import ReleasesSection


@dataclass(frozen=True, slots=True)
class Releases:
    """Two releases of an application that run at the same time for a while."""

    old: str
    new: str
    schema: str
    """Schema that holds the tables."""
    prefix: str

    def home(self, release: str) -> str:
        """Name of the schema that holds a release's views."""
        return self.prefix + release

    def path(self, release: str) -> str:
        """The release's `search_path` as SQL: its views, then types, functions and sequences where they are."""
        return f"{quote(self.home(release))}, {quote(self.schema)}"


def named(section: ReleasesSection, old: str, new: str) -> Releases:
    """The releases as the charter names their schemas. Raises UsageError for names that cannot be."""
    found = Releases(old, new, section.schema, section.prefix or f"{section.schema}_")
    for release in (old, new):
        home = found.home(release)
        if not release or len(home.encode()) > MAX_BYTES or "\0" in home or home.startswith("pg_"):
            raise UsageError(f"release {release!r} gives no name for a schema: {home!r}", hint=f"at most {MAX_BYTES} bytes, not pg_…")
    if old == new:
        raise UsageError(f"both releases are called {old!r}", hint="name the one that runs, then the one that comes")
    return found


@dataclass(frozen=True)
class Views:
    """What a release is given to look through."""

    schema: Schema
    views: tuple[View, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    questions: tuple[str, ...] = ()
    """What the release knows and cannot be shown so that it can be written."""
    notes: tuple[str, ...] = ()

    def on(self, physical: Catalog) -> Catalog:
        """The catalog with them."""
        return replace(
            physical,
            schemas=tuple(sorted((*physical.schemas, self.schema), key=lambda s: s.name)),
            views=tuple(sorted((*physical.views, *self.views), key=lambda v: (v.schema, v.name))),
            dependencies=(*physical.dependencies, *self.dependencies),
        )


def views(release: Catalog, physical: Catalog, names: Releases, name: str, intents: Iterable[Intent] = ()) -> Views:
    """Views over the tables of `physical` that show what the release called `name` knows from its own catalog.

    `intents` are the renames that lead from `release` to `physical`. Partitions have no view of their own (rows go through their table),
    nor do views, and tables of extensions.
    """
    renames = {i.object: i.name for i in intents}
    tables = [t for t in release.root_tables if t.schema == names.schema]
    needs = _needs(release, physical)
    made = [_view(t, physical, ObjectId("view", names.home(name), t.name), renames, needs) for t in tables]
    base = next((s for s in physical.schemas if s.name == names.schema), Schema(names.schema))
    comment = f"release {name}: what it sees of schema {names.schema}"
    return Views(
        Schema(
            names.home(name),
            owner="" if base.owner == _EVERY_OWNER else base.owner,
            acl=_usage(base, physical.database.owner),
            comment=comment,
        ),
        tuple(m.view for m in made if m.view),
        tuple(d for m in made for d in m.dependencies),
        tuple(q for m in made for q in m.questions),
        tuple(n for m in made if m.view for n in _readers(m.view)),
    )


_EVERY_OWNER = "pg_database_owner"
"""Owner of schema public from 15 on: whoever owns the database; other schemas are better owned by whoever makes them."""


def _usage(schema: Schema, owner: str) -> Acl:
    """Who may use the schema may use its views; nobody but the owner makes objects there."""
    if schema.acl is None:
        return None
    own = owner if schema.owner in ("", _EVERY_OWNER) else schema.owner
    named = {_EVERY_OWNER: own}
    rights = (replace(g, grantee=named.get(g.grantee, g.grantee), grantor=named.get(g.grantor, g.grantor)) for g in schema.acl)
    return tuple(sorted({g for g in rights if g.privilege == "USAGE" or g.grantee == own}))


Needs = Mapping[ObjectId, tuple[ObjectId, ...] | None]


def _needs(release: Catalog, physical: Catalog) -> Needs:
    """What the defaults of the release's columns need; None for those that need what is gone, or is called otherwise by now."""
    there = {address for address, _ in physical.objects()}
    found: dict[ObjectId, list[ObjectId]] = {}
    for d in release.dependencies:
        if d.dependent.kind == "column":
            found.setdefault(d.dependent, []).append(d.referenced)
    return {column: tuple(needed) if there.issuperset(needed) else None for column, needed in found.items()}


@dataclass
class _Made:
    view: View | None = None
    dependencies: list[Dependency] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def _view(known: Table, physical: Catalog, address: ObjectId, renames: Mapping[ObjectId, str], needs: Needs) -> _Made:
    """One table as the release knows it."""
    at = ObjectId("table", known.schema, renames.get(known.id, known.name))
    table = physical.table.get(at)
    if table is None:
        return _Made(questions=[_unshown(known.id, address, "there is no such table any more")])
    if not known.columns:
        return _Made(questions=[_unshown(known.id, address, "it has no columns")])
    pairs = [(c, table.column.get(renames.get(known.part("column", c.name), c.name))) for c in known.columns]
    missing = ", ".join(quote(c.name) for c, found in pairs if found is None)
    if missing:
        why = f"{table.id} has no {missing}, and a view with something in its place refuses writes"
        return _Made(questions=[_unshown(known.id, address, why)])
    shown = [(c, found) for c, found in pairs if found is not None]
    words = (quote(f.name) + ("" if f.name == c.name else f" AS {quote(c.name)}") for c, f in shown)
    view = View(
        address.schema, address.name,
        columns=tuple(_column(c, f, place, physical, needs.get(known.part("column", c.name), ())) for place, (c, f) in enumerate(shown, 1)),
        definition=f"SELECT {', '.join(words)} FROM {table.id.sql()};",
        security_invoker=True, options=("security_invoker=true",), owner=table.owner, acl=table.acl, comment=known.comment,
    )  # fmt: skip
    used = [Dependency(view.id, table.part("column", found.name)) for _, found in shown]
    for column in view.columns:
        more = needs.get(known.part("column", column.name)) if column.default else ()
        used += [Dependency(view.part("column", column.name), needed) for needed in more or ()]
    return _Made(view, used)


def _readers(view: View) -> Iterator[str]:
    """A note for every role that may read some columns only: PostgreSQL asks whoever reads such a view for all that it shows."""
    whole = {g.grantee for g in view.acl or () if g.privilege == "SELECT"}
    single = {g.grantee for c in view.columns for g in c.acl or () if g.privilege == "SELECT"}
    for role in sorted(single - whole):
        who = f"role {quote(role)}" if role else "PUBLIC"
        yield f"{who} may read single columns only, and so nothing through {view.id}: grant it SELECT on the table"


def _column(known: Column, found: Column, place: int, physical: Catalog, needed: tuple[ObjectId, ...] | None) -> Column:
    """A column of the view: named, commented and given a default as the release knows it; the rest is the table's.

    Without a default of its own a view's column takes the table's, which generated columns and identities need.
    """
    default = "" if known.generated or known.identity or needed is None else known.default
    if default and known.type != found.type:
        default = using(f"({default})", known.type, found.type, physical) or default
    return Column(known.name, place, found.type, default=default, collation=found.collation, acl=found.acl, comment=known.comment)


def _unshown(table: ObjectId, address: ObjectId, why: str) -> str:
    return f"{address} cannot be made for {table}, because {why}: keep it until no release uses it, or plan without --releases"


def retyped(before: Views, after: Views, release: str) -> tuple[str, ...]:
    """A note for every column that the release sees in another type once the plan has changed it."""
    types = {view.part("column", c.name): c.type for view in after.views for c in view.columns}
    return tuple(
        f"release {release} sees {at} as {types[at].sql} instead of {c.type.sql} from the change of type on, because {_why(c, types[at])}: "
        "prove that it can, with pgcharter release check"
        for view in before.views
        for c in view.columns
        if types.get(at := view.part("column", c.name), c.type).sql != c.type.sql
    )


def _why(column: Column, new: DataType) -> str:
    """Why a column is not there in both types."""
    if holds(column.type, new):
        return "more than its type changes where it is used"
    return f"not every {new.sql} has a place in {column.type.sql}, and what the new release writes must not be refused"
