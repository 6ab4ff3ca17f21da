"""Whether each tenant is as its state says: its place is there and shut or open, like that of the others, and nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pgcharter.db import connect
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
from pgcharter.tenants.verifying_access import Places, Wrong, crossing, of_access, of_privileges, of_roles, placed, sql

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.db import Connection
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.tenants.alike import Structure
    from pgcharter.tenants.table import Tenant


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
        found += [*_of_places(places), *_orphans(places), *of_access(places)]
        if section.placement == "schemas":
            found += [*of_roles(places), *crossing(conn, section)]
        late = list(_of_histories(places))
        found += late
        behind = {w.tenant for w in late}
        whole = read_catalog(conn) if section.placement == "schemas" else None
        found += of_privileges(places, whole) if whole else ()
        found += _of_structures(places, {n: s for n, s in _structures(whole, places).items() if name_in(section, n) not in behind})
    return tuple(w for w in found if not chosen or w.tenant in chosen)


def _read(conn: Connection, section: TenancySection, tenants: Sequence[Tenant], dsn_of: Callable[[str], str]) -> Places:
    kind = "schemas" if section.placement == "schemas" else "databases"
    members: dict[str, set[str]] = {}
    for role, member, admin in conn.execute(sql("members")).fetchall():
        if not admin:
            members.setdefault(role, set()).add(member)
    connecting: dict[str, set[str]] = {}
    for database, role in conn.execute(sql("connecting")).fetchall():
        connecting.setdefault(database, set()).add(role)
    return Places(
        section, tenants, dsn_of, frozenset(row[0] for row in conn.execute(sql(kind)).fetchall()),
        {row[0]: row[1:] for row in conn.execute(sql("roles")).fetchall()},
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


# alike


def _of_histories(places: Places) -> Iterator[Wrong]:
    """Who is behind the others, or elsewhere. Histories are compared as numbers, and read once for each that is different."""
    shared = Database("", places.dsn_of("")) if places.section.placement == "schemas" else None
    targets = []
    for t in placed(places):
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
        return {t.place: found[t.place] for t in placed(places) if t.place in found}
    made = {}
    for t in placed(places):
        try:
            with connect(places.dsn_of(t.place), application_name=APPLICATION) as there:
                made[t.place] = alike.whole(read_catalog(there), t.place)
        except ConnectError:
            continue
    return made


def _of_structures(places: Places, found: Mapping[str, Structure]) -> Iterator[Wrong]:
    """Differences from the form that most have; of several such forms, from that of the tenant that was added first."""
    order = [t for t in sorted(placed(places), key=lambda t: t.created) if t.place in found]
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
