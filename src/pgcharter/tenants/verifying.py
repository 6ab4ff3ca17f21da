"""Whether each tenant is as its state says: its place is there and shut or open, like that of the others, and nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgcharter.db import connect, queries
from pgcharter.errors import ConnectError
from pgcharter.migrate import ledger
from pgcharter.migrate.state import applied_runs
from pgcharter.migrate.targets import Database, Target, groups
from pgcharter.names import quote
from pgcharter.policy.tenancy_settings import name_in
from pgcharter.policy.tenancy_tables import expected
from pgcharter.sources.live import read_catalog
from pgcharter.tenants import alike
from pgcharter.tenants.places import APPLY, unheld
from pgcharter.tenants.table import APPLICATION

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.db import Connection
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.alike import Structure
    from pgcharter.tenants.table import Tenant

Check = str
"""state, place, role, access, history, structure, crossing, orphan."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is not as it should be."""

    tenant: str
    """Name; empty for what belongs to none."""
    check: Check
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Places:
    """What is there, read with a fixed number of queries."""

    section: TenancySection
    tenants: Sequence[Tenant]
    dsn_of: Callable[[str], str] = field(repr=False)
    """The connection string of a place."""
    there: frozenset[str]
    roles: Mapping[str, Sequence[bool]]
    members: Mapping[str, frozenset[str]]
    """Members of each role, but for those that administer it."""
    connecting: Mapping[str, frozenset[str]]
    """Who may connect to each database by name, and "" for everybody."""


def verify(
    conn: Connection, section: TenancySection, tenants: Sequence[Tenant], chosen: Collection[str], dsn_of: Callable[[str], str]
) -> tuple[Wrong, ...]:
    """What is wrong with the tenants named in `chosen` (empty: with all of them, and with what looks like a tenant's and is none's)."""
    found = list(_of_states(tenants))
    if section.placement == "rows":
        found += _of_rows(read_catalog(conn), section)
        open_to = unheld(conn, section)
        found += [
            Wrong(t.name, "access", f"it is {t.state}, and {open_to}") for t in tenants if open_to and t.state not in ("active", "adding")
        ]
    else:
        places = _read(conn, section, tenants, dsn_of)
        found += [*_of_places(places), *_orphans(places), *_of_access(places)]
        if section.placement == "schemas":
            found += [*_of_roles(places), *_crossing(conn, section)]
        late = list(_of_histories(places))
        found += late
        behind = {w.tenant for w in late}
        whole = read_catalog(conn) if section.placement == "schemas" else None
        found += _of_privileges(places, whole) if whole else ()
        found += _of_structures(places, {n: s for n, s in _structures(whole, places).items() if name_in(section, n) not in behind})
    return tuple(w for w in found if not chosen or w.tenant in chosen)


def _read(conn: Connection, section: TenancySection, tenants: Sequence[Tenant], dsn_of: Callable[[str], str]) -> Places:
    kind = "schemas" if section.placement == "schemas" else "databases"
    members: dict[str, set[str]] = {}
    for role, member, admin in conn.execute(_sql("members")).fetchall():
        if not admin:
            members.setdefault(role, set()).add(member)
    connecting: dict[str, set[str]] = {}
    for database, role in conn.execute(_sql("connecting")).fetchall():
        connecting.setdefault(database, set()).add(role)
    return Places(
        section, tenants, dsn_of, frozenset(row[0] for row in conn.execute(_sql(kind)).fetchall()),
        {row[0]: row[1:] for row in conn.execute(_sql("roles")).fetchall()},
        {role: frozenset(names) for role, names in members.items()}, {d: frozenset(names) for d, names in connecting.items()},
    )  # fmt: skip


# states


def _of_states(tenants: Iterable[Tenant]) -> Iterator[Wrong]:
    for t in tenants:
        if t.state == "adding":
            yield Wrong(t.name, "state", f"its adding was begun at {_at(t)} and is not done", f"pgcharter tenant add {t.name}")
        elif t.deleting:
            yield Wrong(t.name, "state", f"its deletion was begun at {_at(t)} and is not done", f"pgcharter tenant remove {t.name}")
        elif t.state == "leaving" and t.leaves_at is None:
            hint = f"pgcharter tenant remove {t.name} --export FOLDER; or: pgcharter tenant resume {t.name}"
            yield Wrong(t.name, "state", f"it is leaving since {_at(t)}, and its export is not done", hint)


def _at(tenant: Tenant) -> str:
    return f"{tenant.since:%Y-%m-%d %H:%M %Z}"


def _of_rows(catalog: Catalog, section: TenancySection) -> Iterator[Wrong]:
    for at, one in expected(section, catalog).items():
        table = catalog.table[at]
        if one.kind == "tenant" and one.column not in table.column:
            yield Wrong("", "access", f"table {at.sql()} has no column {quote(one.column)}, so nobody is kept from any row", APPLY)
        elif one.kind == "tenant" and not (table.row_security and table.force_row_security):
            what = "does not hold for its owner" if table.row_security else "is off"
            yield Wrong("", "access", f"row security of table {at.sql()} {what}, so tenants are not kept apart there", APPLY)
        elif one.kind == "tenant" and section.asks_state and not any("tenant_is_active" in p.using for p in table.policies):
            yield Wrong("", "access", f"row policies of table {at.sql()} do not ask if a tenant is active, as ask_state says", APPLY)


# places


def _placed(places: Places) -> Iterator[Tenant]:
    """Tenants whose place should be there and is."""
    return (t for t in places.tenants if t.place in places.there and t.state != "adding" and not t.deleting)


def _of_places(places: Places) -> Iterator[Wrong]:
    kind = places.section.placement.removesuffix("s")
    for t in places.tenants:
        if t.state != "adding" and not t.deleting and t.place not in places.there:
            what = f"{kind} {quote(t.place)} is not there" if t.place else f"it has no {kind}, as if its data were in rows"
            yield Wrong(t.name, "place", what, "restore it from a backup")


def _orphans(places: Places) -> Iterator[Wrong]:
    kind = places.section.placement.removesuffix("s")
    known = {t.place for t in places.tenants}
    for name in sorted(places.there - known):
        if name_in(places.section, name) is not None:
            yield Wrong("", "orphan", f"{kind} {quote(name)} is named like a tenant's, and there is no such tenant", _orphan(kind, name))
    for name in sorted(places.roles.keys() - known - places.there) if kind == "schema" else ():
        if name_in(places.section, name) is not None:
            hint = f"when nobody needs it: DROP OWNED BY {quote(name)}; DROP ROLE {quote(name)}"
            yield Wrong("", "orphan", f"role {quote(name)} is named like a tenant's, and there is no such tenant", hint)


def _orphan(kind: str, name: str) -> str:
    return f"when nobody needs it: DROP {kind.upper()} {quote(name)}{' CASCADE' * (kind == 'schema')}"


_POWERS = ("LOGIN", "SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")


def _of_roles(places: Places) -> Iterator[Wrong]:
    for t in _placed(places):
        powers = places.roles.get(t.place)
        if powers is None:
            yield Wrong(t.name, "role", f"role {quote(t.place)} is not there, so nobody can work for it", APPLY)
            continue
        has = [word for word, on in zip(_POWERS, powers, strict=True) if on]
        if has:
            no = " ".join(f"NO{word}" for word in has)
            yield Wrong(t.name, "role", f"role {quote(t.place)} has {', '.join(has)}", f"ALTER ROLE {quote(t.place)} {no}")


def _of_access(places: Places) -> Iterator[Wrong]:
    """Who is let in, against what the state says."""
    section, schemas = places.section, places.section.placement == "schemas"
    apps = frozenset(section.application_roles)
    for t in _placed(places):
        have = places.members.get(t.place, frozenset()) if schemas else places.connecting.get(t.place, frozenset())
        have -= {section.maintenance_role}
        for role in sorted(apps - have) if t.state == "active" else ():
            yield Wrong(t.name, "access", f"it is active, and role {quote(role)} is not let in", f"pgcharter tenant resume {t.name}")
        for role in sorted(have if t.state != "active" else have - apps if schemas else have & {""}):
            who = f"role {quote(role)}" if role else "everybody"
            what = f"a member of {quote(t.place)}" if schemas else f"let into database {quote(t.place)}"
            state = f"it is {t.state}, and " if t.state != "active" else ""
            yield Wrong(t.name, "access", f"{state}{who} is {what}", _out(schemas, t.place, role))


def _out(schemas: bool, place: str, role: str) -> str:
    who = quote(role) if role else "PUBLIC"
    return f"REVOKE {quote(place)} FROM {who}" if schemas else f"REVOKE CONNECT ON DATABASE {quote(place)} FROM {who}"


def _crossing(conn: Connection, section: TenancySection) -> Iterator[Wrong]:
    for source, target, sentence in conn.execute(_sql("crossing")).fetchall():
        owner, other = name_in(section, source), name_in(section, target)
        if other is not None:
            yield Wrong(owner or other, "crossing", f"{sentence}, of tenant {other}", "drop it: a tenant's schema stands by itself")


def _of_privileges(places: Places, catalog: Catalog) -> Iterator[Wrong]:
    """Who has privileges in a tenant's schema that no one but its own role should have: everybody, applications, other tenants."""
    section, found = places.section, {t.place: t for t in _placed(places)}
    items: tuple[Any, ...] = (*catalog.schemas, *catalog.tables, *catalog.views, *catalog.sequences, *catalog.functions)
    for item in items:
        place = item.id.schema or item.id.name
        if place not in found:
            continue
        open_to_all = item.id.kind in ("function", "procedure", "aggregate")
        wrong = {
            g.grantee for g in item.acl or ()
            if (not g.grantee and not open_to_all) or g.grantee in section.application_roles
            or (g.grantee != place and g.grantee and name_in(section, g.grantee) is not None)
        }  # fmt: skip
        for role in sorted(wrong):
            who = f"role {quote(role)} has" if role else "everybody has"
            yield Wrong(found[place].name, "access", f"{who} privileges on {item.id}, which are for its own role", APPLY)


# alike


def _of_histories(places: Places) -> Iterator[Wrong]:
    """Who is behind the others, or elsewhere. Histories are compared as numbers, and read once for each that is different."""
    shared = Database("", places.dsn_of("")) if places.section.placement == "schemas" else None
    targets = []
    for t in _placed(places):
        dsn = places.dsn_of(t.place)
        targets.append(Target(t.name, dsn, shared or Database(t.place, dsn), t.place if shared else ""))
    every = [(group, _applied(group.targets[0])) for group in groups(targets)]
    for group, versions in every:
        if isinstance(versions, ConnectError):
            yield Wrong(group.targets[0].name, "place", f"nobody can say how it is there: {versions.message}", versions.hint)
    stands = [(group, versions) for group, versions in every if not isinstance(versions, ConnectError)]
    sizes = Counter({versions: 0 for _, versions in stands})
    for group, versions in stands:
        sizes[versions] += len(group.targets)
    usual = max(sizes, key=lambda v: (sizes[v], len(v)), default=())
    for group, versions in stands:
        if versions != usual:
            for target in group.targets:
                yield Wrong(target.name, "history", _told(versions, usual, sizes[usual]), "pgcharter migrate status")


def _applied(target: Target) -> tuple[str, ...] | ConnectError:
    """The versions applied there, or why nobody can say."""
    try:
        with connect(target.dsn, application_name=APPLICATION) as conn:
            return tuple(run.version or run.name for run in applied_runs(ledger.read(conn)))
    except ConnectError as error:
        return error


def _told(versions: tuple[str, ...], usual: tuple[str, ...], many: int) -> str:
    lacks, more = [v for v in usual if v not in versions], [v for v in versions if v not in usual]
    said = [f"lacks {_some(lacks)}"] * bool(lacks) + [f"has {_some(more)} beside"] * bool(more)
    what = " and ".join(said) or "has them in another order"
    return f"of the migrations that {many:,} {'tenant has' if many == 1 else 'tenants have'} it {what}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _structures(catalog: Catalog | None, places: Places) -> dict[str, Structure]:
    """The structure of each place: from the catalog of the database that all schemas are in, else from that of each database."""
    if catalog is not None:
        found = alike.structures(catalog)
        return {t.place: found[t.place] for t in _placed(places) if t.place in found}
    made = {}
    for t in _placed(places):
        try:
            with connect(places.dsn_of(t.place), application_name=APPLICATION) as there:
                made[t.place] = alike.whole(read_catalog(there), t.place)
        except ConnectError:
            continue
    return made


def _of_structures(places: Places, found: Mapping[str, Structure]) -> Iterator[Wrong]:
    """Differences from the form that most have; of several such forms, from that of the tenant that was added first."""
    order = [t for t in sorted(_placed(places), key=lambda t: t.created) if t.place in found]
    if not order:
        return
    counts = Counter(found[t.place].text for t in order)
    reference = max(order, key=lambda t: (counts[found[t.place].text], -order.index(t)))
    told: dict[str, list[str]] = {}
    for t in order:
        one = found[t.place]
        if one.text not in told:
            told[one.text] = list(alike.differing(found[reference.place], one, reference.place, t.place))
        for sentence in told[one.text]:
            yield Wrong(t.name, "structure", f"unlike tenant {reference.name}: {sentence}")


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.tenants", "verifying.sql")[name].encode()
