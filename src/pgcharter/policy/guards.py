"""What keeps rows apart in a catalog: settings that row policies read, the columns they are compared with, the tables that hold such rows.

Where the charter declares `[tenancy]`, its tables without a policy are expected to be guarded as well. Where nothing is declared, the
catalog itself tells: a column that one table's policy compares with a setting says the same in every table, and rows that must belong to
a guarded row are guarded too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pgcharter.catalog.model import Catalog, Policy, Table
from pgcharter.names import ObjectId
from pgcharter.policy.tenancy_settings import OWN_TENANTS, TenancySection

Place = tuple[ObjectId, str]
"""A table and one of its columns."""
CONTEXT = {"tenant": "pgcharter.tenant", "user": "pgcharter.actor"}
_SETTING = re.compile(r"current_setting\('((?:[^']|'')+)'", re.IGNORECASE)
_CALL = re.compile(r'((?:\w+|"(?:[^"]|"")+")\.(?:\w+|"(?:[^"]|"")+"))\(')
_WHO = re.compile(r"\b(CURRENT_USER|SESSION_USER|current_user|session_user)\b")
_NAME = re.compile(r'(?:(?P<of>\w+|"(?:[^"]|"")+")\.)?(?P<name>\w+|"(?:[^"]|"")+")')
_FROM = re.compile(r'(?:FROM|JOIN)\s+\(*(?P<schema>\w+|"(?:[^"]|"")+")\.(?P<table>\w+|"(?:[^"]|"")+")(?:\s+(?P<alias>\w+|"(?:[^"]|"")+"))?')
_PERSON = re.compile(r"user|actor|member|person|author|employee|practitioner|subject", re.IGNORECASE)


@dataclass(frozen=True)
class Guards:
    """Who is kept from what."""

    settings: Mapping[str, Place] = field(default_factory=dict)
    """The column whose value each setting holds."""
    roots: Mapping[Place, str] = field(default_factory=dict)
    """`tenant` or `user`, for columns that foreign keys lead to, or that refer to nothing."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The same for columns by name, wherever they stand."""
    tables: frozenset[ObjectId] = frozenset()
    """Tables whose rows belong to tenants."""
    users: frozenset[ObjectId] = frozenset()
    """Those of them whose rows belong to single users, also for reading."""
    catalog: Catalog = field(default_factory=Catalog, repr=False)

    @cached_property
    def _references(self) -> Mapping[Place, Place]:
        return references(self.catalog)

    def root(self, table: ObjectId, column: str) -> Place:
        """The column that a column refers to in the end; itself when it refers to nothing."""
        return end(self._references, (table, column))

    def kind(self, table: ObjectId, column: str) -> str:
        """Whose value a column holds: `tenant`, `user`, or empty."""
        return self.roots.get(self.root(table, column)) or self.names.get(column, "")


def references(catalog: Catalog) -> dict[Place, Place]:
    """Where each column of a foreign key leads; of several keys the shortest decides."""
    found: dict[Place, Place] = {}
    for table in catalog.tables:
        for key in sorted(table.foreign_keys, key=lambda k: (len(k.columns), k.name)):
            if key.references is not None and key.references in catalog.table:
                for here, there in zip(key.columns, key.referenced_columns, strict=True):
                    found.setdefault((table.id, here), (key.references, there))
    return found


def end(leads: Mapping[Place, Place], at: Place) -> Place:
    """Where a chain of references ends; a circle ends where it began."""
    seen = [at]
    while seen[-1] in leads:
        following = leads[seen[-1]]
        if following in seen:
            return min(seen)
        seen.append(following)
    return seen[-1]


def found(catalog: Catalog, tenancy: TenancySection | None = None) -> Guards:
    """The guards of a catalog, and those that `[tenancy]` declares."""
    seeds = list(_seeds(catalog))
    declared = tenancy if tenancy and tenancy.placement == "rows" else None
    seeds += _declared(catalog, declared) if declared else ()
    leads = references(catalog)
    settings: dict[str, Place] = {}
    for place, setting in seeds:
        if setting:
            settings.setdefault(setting, place)
    roots: dict[Place, str] = {}
    names: dict[str, str] = {}
    for place, setting in seeds:
        kind = "user" if _PERSON.search(f"{setting or 'user'} {place[1]}") else "tenant"
        roots.setdefault(end(leads, place), kind)
        if not _is_key(catalog.table[place[0]], place[1]):
            names.setdefault(place[1], kind)
    guards = Guards(settings, roots, names, catalog=catalog)
    known = {*_with_policies(catalog), *((table for (table, _), _ in _declared(catalog, declared)) if declared else ())}
    tables = _tables(guards, known, declared)
    return Guards(settings, roots, names, tables, _users(guards, tables, declared), catalog)


def _is_key(table: Table, column: str) -> bool:
    return (column,) in table.unique_keys


def _seeds(catalog: Catalog) -> Iterator[tuple[Place, str]]:
    """Columns that policies compare with settings; an empty setting is the role."""
    readers = {f.id.sql().partition("(")[0]: _SETTING.findall(f.body or f.definition) for f in catalog.own_functions}
    for table in _theirs(catalog):
        for policy in table.policies:
            for text in filter(None, (policy.using, policy.check)):
                for position, setting in _read(text, readers):
                    place = _compared(text, position, table, catalog)
                    if place:
                        yield place, setting


def _read(text: str, readers: Mapping[str, list[str]]) -> Iterator[tuple[int, str]]:
    for match in _SETTING.finditer(text):
        yield match.start(), match[1].replace("''", "'")
    for match in _CALL.finditer(text):
        for setting in readers.get(match[1], ()):
            yield match.start(), setting
    for match in _WHO.finditer(text):
        yield match.start(), ""


def _compared(text: str, position: int, table: Table, catalog: Catalog) -> Place | None:
    """The column nearest before (else after) a position; those of subqueries are written with their table (`pg_get_expr`)."""
    aliases = {table.name: table}
    for match in _FROM.finditer(text):
        other = catalog.table.get(ObjectId("table", _bare(match["schema"]), _bare(match["table"])))
        if other:
            aliases[_bare(match["alias"] or match["table"])] = other
    places: list[tuple[int, Place]] = []
    for match in _NAME.finditer(re.sub(r"'(?:[^']|'')*'", lambda m: " " * len(m[0]), text)):
        of = aliases.get(_bare(match["of"])) if match["of"] else table
        if of and _bare(match["name"]) in of.column and not text[match.end() :].startswith("("):
            places.append((match.start(), (of.id, _bare(match["name"]))))
    before = [p for at, p in places if at < position]
    after = [p for at, p in places if at > position]
    return before[-1] if before else after[0] if after else None


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _with_policies(catalog: Catalog) -> Iterator[ObjectId]:
    """Tables with policies that are more than true."""
    return (t.id for t in _theirs(catalog) if any(_says(p) for p in t.policies))


def _theirs(catalog: Catalog) -> Iterator[Table]:
    """Tables of the project, and that of tenants: what else is ours keeps tenants apart by a setting, and holds nothing of theirs."""
    return (t for t in catalog.own_tables if t.schema != OWN_TENANTS.schema or t.id == OWN_TENANTS)


def _says(policy: Policy) -> bool:
    return any(_SETTING.search(t) or _CALL.search(t) or _WHO.search(t) for t in (policy.using, policy.check))


def _declared(catalog: Catalog, section: TenancySection) -> Iterable[tuple[Place, str]]:
    for table in catalog.own_tables:
        ours = (not section.schemas or table.schema in section.schemas) and not section.is_shared(table.id)
        if ours and section.column in table.column:
            yield (table.id, section.column), CONTEXT["tenant"]
        if table.id in section.user_column:
            yield (table.id, section.user_column[table.id]), CONTEXT["user"]


def _tables(guards: Guards, known: set[ObjectId], section: TenancySection | None) -> frozenset[ObjectId]:
    """Those with policies, with a tenant's column, and whatever hangs on one of them."""
    catalog = guards.catalog
    inside = {t.id for t in catalog.own_tables if t.id in known or any(guards.kind(t.id, c.name) == "tenant" for c in t.columns)}
    shared = {t.id for t in catalog.own_tables if section and section.is_shared(t.id)}
    inside -= shared
    while more := {t.id for t in catalog.own_tables if t.id not in inside | shared and _hangs(t, inside)}:
        inside |= more
    return frozenset(inside - {OWN_TENANTS} if section else inside)


def _users(guards: Guards, tables: frozenset[ObjectId], section: TenancySection | None) -> frozenset[ObjectId]:
    """Tables that a restrictive policy, or every one that allows reading, keeps for single users."""
    persons = {s for s, (table, column) in guards.settings.items() if guards.kind(table, column) == "user"}
    readers = {f.id.sql().partition("(")[0]: _SETTING.findall(f.body or f.definition) for f in guards.catalog.own_functions}
    found = set(section.user_column) if section else set()
    for table in (guards.catalog.table[t] for t in tables):
        reading = [p for p in table.policies if p.command in ("all", "select") and _says(p)]
        of = [any(s in persons for _, s in _read(p.using, readers)) for p in reading]
        loose = [one for p, one in zip(reading, of, strict=True) if p.permissive]
        if any(one and not p.permissive for p, one in zip(reading, of, strict=True)) or (loose and all(loose)):
            found.add(table.id)
    return frozenset(found & tables)


def _hangs(table: Table, inside: set[ObjectId]) -> bool:
    """Whether every row of a table must belong to a row of one of those."""
    owned = any(k.references in inside and all(table.column[c].not_null for c in k.columns) for k in table.foreign_keys)
    return owned or any(parent in inside for parent in table.parents)
