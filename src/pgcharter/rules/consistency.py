"""Data domains: each table promised a level of consistency, and what keeps the promise there to be seen.

A house declares its domains in its guide or charter:

    [[options.domains]]
    name = "orders"
    tables = ["app.orders", "order_*"]
    consistency = "strong"      # or causal, eventual
    mechanism = "version"       # may be left out: then any that suits the level will do

Nobody can prove from a catalog that an application keeps its promise; what can be seen is whether the promise has a mechanism behind it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate

from pgcharter.catalog.model import Catalog, Table, View
from pgcharter.findings import Finding, Severity
from pgcharter.guides.domains import MECHANISMS, Domain
from pgcharter.names import ObjectId, quote
from pgcharter.rules import carriers, shapes
from pgcharter.rules.carriers import Member
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.privileges import is_audit, is_event_store
from pgcharter.tomlfile import listed


@dataclass(frozen=True)
class _Found:
    """A domain with its tables and materialized views, and the patterns that match none."""

    domain: Domain
    members: tuple[Member, ...]
    missing: tuple[str, ...]


def _candidates(catalog: Catalog) -> list[Member]:
    return [*catalog.root_tables, *(v for v in catalog.own_views if v.kind == "materialized view")]


def _domains(ctx: Context) -> Iterator[_Found]:
    candidates = _candidates(ctx.catalog)
    by_name: dict[str, list[Member]] = defaultdict(list)
    for member in candidates:
        by_name[member.name].append(member)
        by_name[f"{member.schema}.{member.name}"].append(member)
    for domain in ctx.options.domains:
        matched = [(p, _matching(p, candidates, by_name)) for p in domain.tables]
        members = {m.id: m for _, found in matched for m in found}
        yield _Found(domain, tuple(members[i] for i in sorted(members)), tuple(p for p, found in matched if not found))


def _matching(pattern: str, candidates: Iterable[Member], by_name: dict[str, list[Member]]) -> list[Member]:
    if not set(pattern) & set("*?["):
        return by_name.get(pattern, [])
    matches = re.compile(translate(pattern)).match
    qualified = "." in pattern
    return [m for m in candidates if matches(f"{m.schema}.{m.name}" if qualified else m.name)]


@rule("CST01", "domain-without-its-table", Severity.WARNING, options=("domains",))
def domain_without_its_table(ctx: Context) -> Iterator[Finding]:
    """A data domain names a table that does not exist.

    Why: the promise made for it holds for nothing: the table was renamed, moved or never made, and whatever took its place is promised
    nothing.
    Instead: the table's name of today in the option `domains`.
    Except: tables of another database: declare them where they are.
    """
    for found in _domains(ctx):
        for pattern in found.missing:
            schema, dot, name = pattern.rpartition(".")
            yield ctx.finding(
                ObjectId("table", schema if dot else "", name),
                f'domain "{found.domain.name}" names {pattern}, and no table is called so: its {found.domain.consistency} consistency is '
                "promised for nothing",
                hint=f"correct the tables of domain {found.domain.name} in the guide or charter",
                detail=found.domain.name,
            )


@rule("CST02", "table-in-two-domains", Severity.ERROR, options=("domains",))
def table_in_two_domains(ctx: Context) -> Iterator[Finding]:
    """A table stands in two data domains that promise different levels of consistency.

    Why: whoever reads the stronger promise relies on what the weaker one does not keep.
    Instead: one domain for each table; narrow the pattern that catches too much.
    Except: two domains of the same level may share a table.
    """
    levels: dict[ObjectId, dict[str, str]] = defaultdict(dict)
    for found in _domains(ctx):
        for member in found.members:
            levels[member.id][found.domain.name] = found.domain.consistency
    for address, promised in levels.items():
        if len(set(promised.values())) > 1:
            told = listed((f'{level} in domain "{name}"' for name, level in promised.items()), "and")
            yield ctx.finding(
                address,
                f"{address} is promised to be {told}: its readers cannot rely on either",
                hint="leave it in one of them",
                domains=sorted(promised),
            )


@rule("CST03", "strong-domain-without-mechanism", Severity.WARNING, options=("domains",))
def strong_domain_without_mechanism(ctx: Context) -> Iterator[Finding]:
    """A table of a strongly consistent domain that nothing keeps consistent.

    Why: strong means that what was committed is seen at once and holds together. A foreign table commits on another server, an UNLOGGED
    one is empty after a crash, a materialized view shows the past, and an unvalidated foreign key says nothing about old rows. Tables
    that no key ties together, without a version to compare and at READ COMMITTED, drift apart under concurrent writers.
    Instead: `transaction`: ordinary tables, tied by validated foreign keys. `version`: `version integer NOT NULL DEFAULT 1`, compared
    and raised by each UPDATE. `serializable`: `ALTER DATABASE shop SET default_transaction_isolation = 'serializable'`.
    Except: with `version`, tables that are only added to, or that hold nothing but keys, need none, nor do parts of a whole whose
    own row has one (order_items under orders). `serializable` is looked up on a live database only; an isolation level that the
    application sets for itself can't be seen: waive it.
    """
    for found in _domains(ctx):
        if found.domain.consistency == "strong":
            tables = [m for m in found.members if isinstance(m, Table)]
            yield from _unfit(ctx, found)
            yield from _untied(ctx, found.domain, tables)
            if found.domain.mechanism == "version":
                yield from _unversioned(ctx, found.domain, tables)
            elif found.domain.mechanism == "serializable" and tables and ctx.reading.source == "live" and not _serializable(ctx):
                yield _not_serializable(ctx, found.domain, tables[0])


def _unfit(ctx: Context, found: _Found) -> Iterator[Finding]:
    """Members that cannot be strong whatever the mechanism, and keys between them that do not hold."""
    inside = {m.id for m in found.members}
    promise = f'domain "{found.domain.name}" promises strong consistency'
    for member in found.members:
        if isinstance(member, View):
            told = f"{member.id} shows its last refresh, but {promise}"
            yield ctx.finding(member, told, hint="a plain view, or a domain that may lag", detail=found.domain.name)
            continue
        if member.kind == "foreign table":
            why = "lives on another server, where no transaction of this one is atomic"
            yield ctx.finding(member, f"foreign table {member.id.sql()} {why}, but {promise}", detail=found.domain.name)
        if member.unlogged:
            yield ctx.finding(
                member,
                f"table {member.id.sql()} is unlogged, so it is empty after a crash, but {promise}",
                fix=f"ALTER TABLE {member.id.sql()} SET LOGGED",
                hint="rewrites the table into the log",
                detail=found.domain.name,
            )
        for fk in member.foreign_keys:
            if fk.references in inside and not fk.inherited and not (fk.validated and fk.enforced):
                what = "was never validated" if fk.enforced else "is not enforced"
                yield ctx.finding(
                    member.part("constraint", fk.name),
                    f"foreign key {quote(fk.name)} of {member.id.sql()} {what}, but {promise}",
                    fix=f"{shapes.alter(member)} VALIDATE CONSTRAINT {quote(fk.name)}" if fk.enforced else "",
                    detail=found.domain.name,
                )


def _untied(ctx: Context, domain: Domain, tables: list[Table]) -> Iterator[Finding]:
    """Tables of the domain that no foreign key ties to another, where that is what would keep them together."""
    if domain.mechanism not in (None, "transaction") or len(tables) < 2:
        return
    tied = _tied(tables)
    any_will_do = domain.mechanism is None
    if any_will_do and _serializable(ctx):
        return
    for table in tables:
        if table.id in tied or table.kind == "foreign table" or (any_will_do and carriers.version_column(table)):
            continue
        yield ctx.finding(
            table,
            f'no foreign key ties table {table.id.sql()} to the rest of domain "{domain.name}", which promises strong consistency'
            + ("; it has no version either" if any_will_do else ""),
            hint="a foreign key, a domain of its own" + (", or another mechanism: version, serializable" if any_will_do else ""),
            detail=domain.name,
        )


def _tied(tables: list[Table]) -> set[ObjectId]:
    inside = {t.id for t in tables}
    pairs = [(t.id, fk.references) for t in tables for fk in t.foreign_keys if fk.references in inside and fk.references != t.id]
    return {end for pair in pairs for end in pair if end is not None}


def _unversioned(ctx: Context, domain: Domain, tables: list[Table]) -> Iterator[Finding]:
    versioned = {t.id for t in tables if carriers.version_column(t)}
    for table in tables:
        if table.id in versioned or table.kind == "foreign table" or _never_changes(table) or _is_part(table, versioned):
            continue
        yield ctx.finding(
            table,
            f'table {table.id.sql()} has no version, but domain "{domain.name}" promises strong consistency by it: of two writers who '
            "read the same row, the second overwrites the first",
            fix=f"{shapes.alter(table)} ADD COLUMN version integer NOT NULL DEFAULT 1" if "version" not in table.column else "",
            hint="UPDATE ... SET version = version + 1 WHERE ... AND version = the one that was read",
            detail=domain.name,
        )


def _never_changes(table: Table) -> bool:
    """Rows that are only added, or hold nothing but keys."""
    if is_audit(table.schema, table.name) or is_event_store(table) or carriers.is_outbox(table):
        return True
    bound = {c for fk in table.foreign_keys for c in fk.columns} | set(table.primary_key.columns if table.primary_key else ())
    return bool(bound) and bound >= {c.name for c in table.columns}


def _is_part(table: Table, versioned: set[ObjectId]) -> bool:
    """Whether each row belongs to one whose version is compared: a required foreign key leads there."""
    return any(fk.references in versioned and all(table.column[c].not_null for c in fk.columns) for fk in table.foreign_keys)


_SERIALIZABLE = re.compile(r"(?:\A|:)default_transaction_isolation='?serializable'?\Z", re.IGNORECASE)


def _serializable(ctx: Context) -> bool:
    """Whether this database, or a role, starts its transactions so."""
    roles = ctx.reading.cluster.roles if ctx.reading.cluster else ()
    return any(_SERIALIZABLE.search(s) for s in (*ctx.catalog.database.settings, *(s for r in roles for s in r.settings)))


def _not_serializable(ctx: Context, domain: Domain, table: Table) -> Finding:
    return ctx.finding(
        table,
        f'transactions on {table.id.sql()} do not start as SERIALIZABLE, by which domain "{domain.name}" promises strong consistency',
        hint="ALTER DATABASE ... SET default_transaction_isolation = 'serializable', and repeat transactions that fail with 40001",
        detail=domain.name,
    )


@rule("CST04", "domain-without-carrier", Severity.WARNING, options=("domains",))
def domain_without_carrier(ctx: Context) -> Iterator[Finding]:
    """A table of an eventually or causally consistent domain whose changes nothing carries out.

    Why: eventual means that other readers (replicas of the data, caches, search, reports) get to know of a change in time. Without
    anything that carries it out they never do: a program that writes to two places loses changes whenever it dies in between.
    Instead: for eventual, an outbox or event table written in the same transaction, a publication, a trigger that writes events, or a
    materialized view with a unique index, so that it is refreshed under its readers. For causal, a version in each row, an event store
    with a unique version, or one publication with all the tables: two publications lose the order between them.
    Except: what runs outside of the database (a job that copies by `updated_at`) can't be seen: waive it with its name.
    """
    copied = carriers.copied(ctx.catalog)
    wide = {"outbox": carriers.has_outbox(ctx.catalog), "events": carriers.has_event_store(ctx.catalog)}
    for found in _domains(ctx):
        if found.domain.consistency == "strong":
            continue
        wanted = (found.domain.mechanism,) if found.domain.mechanism else MECHANISMS[found.domain.consistency]
        if any(wide.get(w) for w in wanted):
            continue
        published = _published(ctx.catalog, found)
        for member in found.members:
            if not any(_carried(ctx, member, how, published, copied) for how in wanted):
                yield _not_carried(ctx, found, member, wanted)


def _published(catalog: Catalog, found: _Found) -> frozenset[ObjectId]:
    """Members that go out through a publication; for causal domains through that one which has the most of them."""
    tables = [m for m in found.members if isinstance(m, Table)]
    each = [frozenset(t.id for t in tables if carriers.publishes(p, t)) for p in catalog.publications]
    if found.domain.consistency == "causal":
        return max(each, key=len, default=frozenset())
    return frozenset().union(*each)


def _carried(ctx: Context, member: Member, how: str, published: frozenset[ObjectId], copied: frozenset[ObjectId]) -> bool:
    if isinstance(member, View):
        return carriers.refreshable(member)
    if carriers.is_outbox(member) or is_event_store(member):
        return True
    checks = {
        "version": lambda: bool(carriers.version_column(member)),
        "publication": lambda: member.id in published,
        "trigger": lambda: carriers.tells_elsewhere(ctx.catalog, member),
        "materialized view": lambda: member.id in copied,
    }
    return how in checks and checks[how]()


def _not_carried(ctx: Context, found: _Found, member: Member, wanted: tuple[str, ...]) -> Finding:
    domain = found.domain
    if isinstance(member, View):
        lacks = "has no unique index, so it cannot be refreshed while it is read"
    elif domain.mechanism:
        lacks = _LACKS[domain.mechanism]
    else:
        lacks = f"has none of {', '.join(wanted)} to carry its changes out"
    return ctx.finding(
        member,
        f'{member.id} {lacks}, but domain "{domain.name}" promises {domain.consistency} consistency',
        fix=_publish(ctx.catalog, found, member) if "publication" in wanted else "",
        detail=domain.name,
    )


_LACKS = {
    "version": "has no version of its rows to tell the order of changes by",
    "events": "has no event store beside it with a unique version for each aggregate",
    "publication": "is not in the publication",
    "outbox": "has no outbox table beside it",
    "trigger": "has no trigger that writes its changes elsewhere",
    "materialized view": "is read by no materialized view with a unique index",
}


def _publish(catalog: Catalog, found: _Found, member: Member) -> str:
    """ADD TABLE to the one publication that already lists others of the domain."""
    others = [m for m in found.members if isinstance(m, Table)]
    fitting = [p for p in catalog.publications if any(carriers.names_table(p, t) and carriers.publishes(p, t) for t in others)]
    if len(fitting) != 1 or not isinstance(member, Table) or member.kind == "foreign table" or member.unlogged:
        return ""
    return f"ALTER PUBLICATION {quote(fitting[0].name)} ADD TABLE {member.id.sql()}"


@rule("CST05", "table-without-domain", Severity.INFO, options=("domains",))
def table_without_domain(ctx: Context) -> Iterator[Finding]:
    """A table stands in no data domain, although the house has declared its domains.

    Why: nobody decided what its readers may rely on; the next one who builds a cache or a report on it decides by accident.
    Instead: name it, or a pattern that catches it, in one of the domains.
    Except: outboxes, event stores and audit trails belong to the mechanisms; staging tables pass rows on; partitions follow their table.
    """
    named = {m.id for found in _domains(ctx) for m in found.members}
    for table in ctx.catalog.root_tables:
        if table.id in named or shapes.is_staging(table) or table.schema == "pgcharter":
            continue
        if carriers.is_outbox(table) or is_event_store(table) or is_audit(table.schema, table.name):
            continue
        yield ctx.finding(
            table,
            f"table {table.id.sql()} stands in no declared data domain, so its readers are promised nothing",
            hint="add it to the tables of a domain",
        )
