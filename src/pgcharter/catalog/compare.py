"""What differs between two catalogs, object by object and field by field."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pgcharter.catalog.alike import alike
from pgcharter.catalog.model import Catalog, Column, Constraint, DefaultPrivilege, Grant, SecurityLabel, Table, UserType, View
from pgcharter.catalog.privileges import same
from pgcharter.names import ObjectId

_PARTS = frozenset(("columns", "constraints", "indexes", "triggers", "policies", "rules", "attributes"))
"""Compared as objects of their own."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, seen from the first catalog to the second."""

    object: ObjectId
    change: str
    """added, removed or changed."""
    field: str = ""
    """Which field of the model changed."""
    old: Any = None
    """Value in the first catalog; for `removed`, the whole object."""
    new: Any = None
    explanation: str = ""
    """Why PostgreSQL itself makes this difference between the two major versions; empty when somebody made it."""


def compare(a: Catalog, b: Catalog, *, ignore: Collection[str] = (), versions: bool = False) -> tuple[Difference, ...]:
    """Return what must change in `a` to get `b`, sorted by object.

    `ignore` leaves out field names (`owner`, `acl`), object kinds (`extension`) or one field of one kind (`table.options`). With
    `versions`, differences that PostgreSQL itself makes between the two major versions (`VERSION_DIFFERENCES`) are left out; without it
    they are in, with their explanation. Never compared: the databases' names and server versions, gaps, dependencies (they follow from
    the rest), and holes that dropped columns leave in the numbering. Privileges that were changed and changed back are PostgreSQL's default
    again, although it keeps them written out. Texts that PostgreSQL writes back in two ways are equal (`alike`).
    """
    equal = _equal(a, b)
    whole = equal | ({w.id for w in _wholes(a)} ^ {w.id for w in _wholes(b)})
    left, right = _flat(a, whole), _flat(b, whole)
    found: list[Difference] = []
    addresses = (left.keys() | right.keys()) - equal
    differing = [x for x in addresses if x.kind not in ignore and left.get(x) != right.get(x)]
    for address in sorted(differing, key=_as_tuple):
        one, other = left.get(address), right.get(address)
        if one is None or other is None:
            present = one or other
            assert present is not None  # noqa: S101
            if present.owner is None or (present.owner in left and present.owner in right):
                change = "added" if one is None else "removed"
                found.append(Difference(address, change, old=one and one.value, new=other and other.value))
        else:
            found += _changes(address, one, other, ignore, (a.major, b.major))
    if a.major == b.major:
        return tuple(found)
    told = [_explained(d, a.major, b.major) for d in found]
    return tuple(d for d in told if not (versions and d.explanation))


@dataclass(frozen=True, slots=True)
class _Item:
    value: Any
    owner: ObjectId | None = None
    rank: int = 0


def _changes(address: ObjectId, one: _Item, other: _Item, ignore: Collection[str], majors: tuple[int, int]) -> Iterator[Difference]:
    if one.value == other.value and one.rank == other.rank:
        return
    if type(one.value) is not type(other.value):
        yield Difference(address, "changed", "", one.value, other.value)
        return
    for name in _fields(one.value):
        if name in ignore or f"{address.kind}.{name}" in ignore:
            continue
        old, new = getattr(one.value, name), getattr(other.value, name)
        if name == "position":
            old, new = one.rank, other.rank
        default = name == "acl" and majors[0] == majors[1] and _says_the_same(address, one.value, other.value, majors[0])
        if not default and not alike(old, new):
            yield Difference(address, "changed", name, old, new)


def _says_the_same(address: ObjectId, one: Any, other: Any, major: int) -> bool:
    """Whether the privileges are those that PostgreSQL gives by itself, once written out and once not."""
    owner = getattr(one, "owner", "")
    return bool(owner == getattr(other, "owner", "") and same(address.kind, one.acl, other.acl, owner, major))


def _fields(value: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(value) if f.name not in _PARTS)


def _as_tuple(address: ObjectId) -> tuple[str, str, str, str]:
    return address.kind, address.schema, address.name, address.part


def _wholes(catalog: Catalog) -> tuple[Table | View | UserType, ...]:
    return (*catalog.tables, *catalog.views, *catalog.types)


def _equal(a: Catalog, b: Catalog) -> set[ObjectId]:
    """What has parts and is equal with all of them, so that nobody need look at the parts."""
    left = {whole.id: whole for whole in _wholes(a)}
    return {whole.id for whole in _wholes(b) if left.get(whole.id) == whole}


def _flat(catalog: Catalog, whole: Collection[ObjectId]) -> Mapping[ObjectId, _Item]:
    """Everything comparable by address, without the parts of what is in `whole`; parts know their owner: a missing table is told once."""
    found: dict[ObjectId, _Item] = {ObjectId("database", "", ""): _Item(_nameless(catalog))}
    groups: tuple[tuple[Any, ...], ...] = (
        catalog.schemas, catalog.tables, catalog.views, catalog.sequences, catalog.functions, catalog.types, catalog.extensions,
        catalog.event_triggers, catalog.publications, catalog.subscriptions, catalog.statistics, catalog.foreign_servers,
        catalog.collations, catalog.others,
    )  # fmt: skip
    for group in groups:
        for item in group:
            found[item.id] = _Item(item)
    for item in _wholes(catalog):
        if item.id not in whole:
            found.update(_parts(item))
    for privilege in catalog.default_privileges:
        found[default_privilege(privilege)] = _Item(privilege)
    for label in catalog.security_labels:
        found[security_label(label)] = _Item(label)
    return found


def _nameless(catalog: Catalog) -> Any:
    return replace(catalog.database, name="")


def default_privilege(privilege: DefaultPrivilege) -> ObjectId:
    """The address under which a default privilege is compared."""
    return ObjectId("default privileges", privilege.schema, f"{privilege.role} on {privilege.objects}")


def security_label(label: SecurityLabel) -> ObjectId:
    """The address under which a security label is compared."""
    return ObjectId("security label", label.object.schema, f"{label.object} {label.provider}")


def address_of(item: object) -> ObjectId | None:
    """The address of anything that stands in a Catalog's groups; None for what has none."""
    if isinstance(item, DefaultPrivilege):
        return default_privilege(item)
    if isinstance(item, SecurityLabel):
        return security_label(item)
    found = getattr(item, "id", None)
    return found if isinstance(found, ObjectId) else None


def _parts(whole: Table | View | UserType) -> Iterator[tuple[ObjectId, _Item]]:
    columns = whole.attributes if isinstance(whole, UserType) else whole.columns
    for rank, column in enumerate(columns, 1):
        yield _part(whole, "column", column.name), _Item(column, whole.id, rank)
    if not isinstance(whole, View):
        for constraint in whole.constraints:
            yield _part(whole, "constraint", constraint.name), _Item(constraint, whole.id)
    if isinstance(whole, UserType):
        return
    for index in whole.indexes:
        yield index.id, _Item(index, whole.id)
    for trigger in whole.triggers:
        yield _part(whole, "trigger", trigger.name), _Item(trigger, whole.id)
    for rule in whole.rules:
        yield _part(whole, "rule", rule.name), _Item(rule, whole.id)
    if isinstance(whole, Table):
        for policy in whole.policies:
            yield _part(whole, "policy", policy.name), _Item(policy, whole.id)


def _part(whole: Table | View | UserType, kind: str, name: str) -> ObjectId:
    return ObjectId(kind, whole.schema, whole.name, name)


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """A difference that PostgreSQL makes by itself from one major version to another."""

    since: int
    """First major version that does it."""
    what: str
    why: str
    applies: Callable[[Difference], bool]
    """Asked with the older server's side as `old`; True when the difference is this one and nothing more."""


def _explained(difference: Difference, major: int, other: int) -> Difference:
    """The difference with its explanation, when one of the known ones covers it entirely."""
    forward = (
        difference if major < other else replace(difference, old=difference.new, new=difference.old, change=_REVERSE[difference.change])
    )
    older, newer = sorted((major, other))
    for known in VERSION_DIFFERENCES:
        if older < known.since <= newer and known.applies(forward):
            return replace(difference, explanation=f"PostgreSQL {known.since}: {known.why}")
    return difference


_REVERSE = {"added": "removed", "removed": "added", "changed": "changed"}


def _is_not_null(difference: Difference) -> bool:
    made = difference.new
    return (
        difference.change == "added" and isinstance(made, Constraint) and made.kind == "not null" and made.validated and not made.no_inherit
    )


def _is_table_not_null(difference: Difference) -> bool:
    return _is_not_null(difference) and bool(difference.new.columns)


def _is_domain_not_null(difference: Difference) -> bool:
    return _is_not_null(difference) and not difference.new.columns


def _is_maintain(difference: Difference) -> bool:
    """Only MAINTAIN was added, for roles that hold every other privilege of tables."""
    if difference.field not in ("acl", "grants") or difference.old is None or difference.new is None:
        return False
    kept = tuple(g for g in difference.new if g.privilege != "MAINTAIN")
    gained = [g for g in difference.new if g.privilege == "MAINTAIN"]
    return kept == difference.old and all(_all_rights(g, kept) for g in gained)


def _all_rights(grant: Grant, kept: tuple[Grant, ...]) -> bool:
    held = {g.privilege for g in kept if g.grantee == grant.grantee}
    return held >= {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}


_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\w+|\s+|.", re.DOTALL)


def _tokens(sql: str) -> list[str]:
    return [t for t in _TOKEN.findall(sql) if not t.isspace()]


def _is_qualifier(difference: Difference) -> bool:
    """The new text is the old one without some `relation.` before column names."""
    if difference.object.kind not in ("view", "materialized view") or difference.field != "definition":
        return False
    old, new = _tokens(difference.old), _tokens(str(difference.new))
    relations = {token for token, following in zip(new, [*new[1:], ""], strict=True) if following != "."}
    at = 0
    for token in new:
        if at + 2 < len(old) and old[at + 1] == "." and old[at] != token and old[at] in relations:
            at += 2
        if at >= len(old) or old[at] != token:
            return False
        at += 1
    return at == len(old)


_NEW_OPTIONS = {
    16: ("origin=any", "run_as_owner=false", "password_required=true"),
    17: ("failover=false",),
}
"""Subscription options by the version that brought them, with their defaults."""


def _subscription_options(since: int) -> Callable[[Difference], bool]:
    """Only options new by version `since` were added with their defaults, and for 18 the new default of streaming."""
    new = {option for version, options in _NEW_OPTIONS.items() if version <= since for option in options}

    def applies(difference: Difference) -> bool:
        if difference.object.kind != "subscription" or difference.field != "options":
            return False
        gone, come = set(difference.old) - set(difference.new), set(difference.new) - set(difference.old)
        if since >= 18 and gone == {"streaming=off"} and "streaming=parallel" in come:
            gone, come = set(), come - {"streaming=parallel"}
        return not gone and come <= new

    return applies


VERSION_DIFFERENCES: tuple[VersionDifference, ...] = (
    VersionDifference(
        18, "named not-null constraints of tables",
        "NOT NULL of a column became a named constraint in pg_constraint; before, it was only a mark on the column", _is_table_not_null,
    ),
    VersionDifference(
        17, "named not-null constraints of domains",
        "NOT NULL of a domain became a named constraint in pg_constraint; before, it was only a mark on the domain", _is_domain_not_null,
    ),
    VersionDifference(
        17, "privilege MAINTAIN",
        "the privilege MAINTAIN is new and belongs to ALL, which owners and GRANT ALL hold", _is_maintain,
    ),
    VersionDifference(
        16, "names of columns in views",
        "views over a single relation are written back without its name before their columns", _is_qualifier,
    ),
    VersionDifference(
        18, "subscription option streaming", "new subscriptions stream in parallel unless told otherwise", _subscription_options(18),
    ),
    VersionDifference(17, "subscription option failover", "subscriptions have the new option failover", _subscription_options(17)),
    VersionDifference(
        16, "subscription options origin, run_as_owner, password_required",
        "subscriptions have the new options origin, run_as_owner and password_required", _subscription_options(16),
    ),
)  # fmt: skip
"""Everything that `compare(..., versions=True)` leaves out, and nothing else is."""


def describe(difference: Difference) -> str:
    """One line: `+ table app.users`, `- index app.i`, `~ column app.users.email type: text → character varying(20)`."""
    sign = {"added": "+", "removed": "-", "changed": "~"}[difference.change]
    subject = "database" if difference.object.kind == "database" else str(difference.object)
    line = f"{sign} {subject}"
    if difference.change == "changed":
        old, new = _around(_shown(difference.old), _shown(difference.new))
        line += f"{' ' * bool(difference.field)}{difference.field}: {old} → {new}"
    return line + (f"  ({difference.explanation})" if difference.explanation else "")


def _shown(value: Any) -> str:
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(_shown(v) for v in value)
    if isinstance(value, Grant):
        return f"{value.privilege} to {value.grantee or 'public'}" + (" with grant option" if value.grantable else "")
    if isinstance(value, Column):
        return value.name
    text = getattr(value, "sql", value)
    return re.sub(r"\s+", " ", str(text() if callable(text) else text)).strip()


_LONGEST = 160
"""Characters of a value that are shown; of longer ones the part around the first difference."""


def _around(old: str, new: str) -> tuple[str, str]:
    if max(len(old), len(new)) <= _LONGEST:
        return old, new
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, same - 40)
    return _cut(old, start), _cut(new, start)


def _cut(text: str, start: int) -> str:
    end = start + _LONGEST
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
