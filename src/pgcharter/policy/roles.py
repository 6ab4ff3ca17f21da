"""Roles: owner, groups that read and write, logins; every object granted alike, now and when it is made; nothing left to PUBLIC."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pgcharter.catalog.model import Catalog, Cluster, Column, Database, DefaultPrivilege, Function, Grant, Membership, Role, Schema, Table
from pgcharter.catalog.privileges import given
from pgcharter.names import ObjectId, address, quote
from pgcharter.policy import tenancy_schemas
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.rights import Levels, callable_by_readers
from pgcharter.policy.roles_settings import LEVELS, SECTION, Hidden, Login, RolesSection

T = TypeVar("T")


def policy(section: RolesSection) -> Policy:
    """The policy of a `[roles]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: RolesSection) -> State:
    named = section.schemas or tuple(s.name for s in state.catalog.schemas if not s.extension and s.name != SCHEMA)
    schemas = tuple(name for name in named if not state.of_tenant(name))
    missing = sorted(set(schemas) - {s.name for s in state.catalog.schemas})
    for name in missing:
        state = state.asking(
            f"[roles] is about schema {quote(name)}, which is not there: create it in what is wanted, or take it out of schemas"
        )
    logins = tuple(login for login in section.login if not login.environments or state.environment in login.environments)
    cluster = _cluster(state, section, logins)
    state = _asked(state, section, logins)
    levels = Levels({level: getattr(section, level) for level in LEVELS if getattr(section, level)})
    hidden, state = _hidden(state, section)
    catalog = _granted(state.catalog, section.owner, levels, frozenset(schemas), hidden)
    catalog = _of_tenants(catalog, state, section, levels)
    state = _without_connect(state, section, logins)
    database = _database(state.database, section, levels, logins, state.catalog.major)
    return replace(state, cluster=cluster, database=database, catalog=_for_the_future(catalog, section, levels, schemas, state.catalog))


def _database(database: Database, section: RolesSection, levels: Levels, logins: Iterable[Login], major: int) -> Database:
    """Who may connect: the levels, the owner, who has no level and logs in all the same, and whom the charter names beside them."""
    if not (section.database and database.name):
        return database
    alone = [login.name for login in logins if not {section.role_of(g) for g in login.member_of} & {*levels.names, section.owner}]
    further = {Grant(name, "CONNECT", grantor=database.owner) for name in (*alone, *section.connect)}
    if section.owner and section.owner != database.owner:
        further |= {Grant(section.owner, p, grantor=database.owner) for p in ("CONNECT", "TEMPORARY", "CREATE")}
    held = levels.acl("database", database.acl, database.owner, database.owner, major)
    return replace(database, acl=tuple(sorted({*(held or ()), *further})))


def _without_connect(state: State, section: RolesSection, logins: Iterable[Login]) -> State:
    """The state with a note on each login that gets in by PUBLIC alone and will no longer."""
    acl = (state.present or state).database.acl
    open_to_all = acl is None or any(g.grantee == "" and g.privilege == "CONNECT" for g in acl)
    if not (section.database and state.database.name and open_to_all):
        return state
    groups = {n for n in (section.owner, *map(section.role_of, LEVELS)) if n}
    named = {state.database.owner, *section.connect, *(login.name for login in logins), *(g.grantee for g in acl or ())}
    named |= {m.member for m in state.cluster.memberships if m.role in {*named, *groups}}
    for role in state.cluster.roles:
        if role.login and not role.superuser and role.name not in named:
            state = state.noting(
                f"role {quote(role.name)} can no longer connect to this database, which it may because everybody may; to let it in: "
                f'connect = ["{role.name}"] under [roles]'
            )
    return state


def _asked(state: State, section: RolesSection, logins: Iterable[Login]) -> State:
    """Roles that are there and are not what is declared, where making them so would take something from somebody."""
    for name in (*(login.name for login in logins), *(n for n in map(section.role_of, LEVELS) if n)):
        role = state.cluster.role.get(name)
        if role and role.superuser:
            state = state.asking(
                f"role {quote(name)} is a superuser, whom neither privileges nor row security hold back: "
                f"ALTER ROLE {quote(name)} NOSUPERUSER, or name another role in [roles]"
            )
    declared = {login.name for login in section.login}
    for name in (n for n in map(section.role_of, LEVELS) if n and n not in declared):
        role = state.cluster.role.get(name)
        if role and role.login and not role.superuser:
            state = state.asking(
                f"role {quote(name)} logs in, and [roles] makes it a group that nobody logs in as, which shuts out whoever does: "
                f"ALTER ROLE {quote(name)} NOLOGIN after its sessions have another login, or name another group"
            )
    owner = state.cluster.role.get(section.owner)
    if owner and owner.login:
        state = state.asking(
            f"role {quote(owner.name)} owns everything and logs in, so whoever has its password can change everything: "
            f"ALTER ROLE {quote(owner.name)} NOLOGIN after its sessions have another login, or name another owner"
        )
    return state


def _cluster(state: State, section: RolesSection, logins: tuple[Login, ...]) -> Cluster:
    """The roles and who belongs to which. Whoever is a member of a declared group and is not declared is one no longer."""
    cluster = state.cluster
    groups = [n for n in (section.owner, *map(section.role_of, LEVELS)) if n]
    wanted = {n: replace(cluster.role.get(n, Role(n)), **_POWERLESS, login=False) for n in groups}
    wanted |= {login.name: _login(cluster.role.get(login.name, Role(login.name)), login) for login in logins}
    if 0 < cluster.server_version < 160000:
        wanted = {name: replace(role, inherit=name not in state.takers) for name, role in wanted.items()}
    roles = tuple(sorted(({r.name: r for r in cluster.roles} | wanted).values(), key=lambda r: r.name))
    version = cluster.server_version or 160000
    declared = {(section.role_of(g), login.name) for login in logins for g in login.member_of}
    kept = [
        m for m in cluster.memberships if (m.role, m.member) in declared or state.of_tenant(m.role) or not _ours(m, groups, logins, cluster)
    ]
    there = {(m.role, m.member) for m in kept if version < 160000 or (m.inherit and (m.set or m.role != section.owner))}
    come = [Membership(role, member, set=version < 160000 or role == section.owner) for role, member in sorted(declared - there)]
    return replace(cluster, roles=roles, memberships=tuple(sorted((*kept, *come))))


def _ours(membership: Membership, groups: Iterable[str], logins: Iterable[Login], cluster: Cluster) -> bool:
    """Whether a membership is for the charter to say. What PostgreSQL gives to whoever makes a role is not (documentation, CREATE ROLE)."""
    member = cluster.role.get(membership.member)
    administered = any(m.admin and (m.role, m.member) == (membership.role, membership.member) for m in cluster.memberships)
    old = 0 < cluster.server_version < 160000
    if member and (member.superuser or (old and member.create_role)):
        return False
    if administered and not any(login.name == membership.member for login in logins):
        return False
    return membership.role in groups or any(login.name == membership.member for login in logins)


_POWERLESS: dict[str, Any] = {"create_role": False, "create_database": False, "replication": False, "bypass_row_security": False}


def _login(role: Role, login: Login) -> Role:
    timeouts = {
        "statement_timeout": login.statement_timeout,
        "lock_timeout": login.lock_timeout,
        "idle_in_transaction_session_timeout": login.idle_in_transaction_timeout,
    }
    others = [s for s in role.settings if s.partition("=")[0] not in timeouts]
    settings = tuple(sorted((*others, *(f"{name}={value}" for name, value in timeouts.items() if value))))
    until = f"{login.valid_until:%Y-%m-%d} 00:00:00+00" if login.valid_until else ""
    powers = {**_POWERLESS, "bypass_row_security": login.bypasses_row_security}
    return replace(role, **powers, login=True, connection_limit=login.connection_limit, valid_until=until, settings=settings)


def _hidden(state: State, section: RolesSection) -> tuple[dict[ObjectId, list[Hidden]], State]:
    found: dict[ObjectId, list[Hidden]] = {}
    for hidden in section.hidden:
        try:
            at = address(f"table {hidden.table}")
        except ValueError:
            state = state.asking(f"[[roles.hidden]] table {hidden.table!r} is no table's address: write it as schema.name")
            continue
        table = state.catalog.table.get(at)
        lacking = [c for c in hidden.columns if table and c not in table.column]
        if table is None or lacking:
            what = f"column {quote(lacking[0])} of {at}" if lacking else str(at)
            state = state.asking(f"[[roles.hidden]] names {what}, which is not there: it would hide nothing")
            continue
        found.setdefault(at, []).append(hidden)
    return found, state


def _granted(catalog: Catalog, owner: str, levels: Levels, schemas: frozenset[str], hidden: dict[ObjectId, list[Hidden]]) -> Catalog:
    def each(items: tuple[T, ...], change: Callable[[Any], Any]) -> tuple[T, ...]:
        return tuple(change(i) if _concerned(i, schemas) else i for i in items)

    def relation(of: str) -> Callable[[Any], Any]:
        return lambda item: _owned(item, of, owner, levels, catalog.major)

    def table(item: Table) -> Table:
        return _table(item, owner, levels, catalog.major, hidden.get(item.id, ()))

    return replace(
        catalog,
        schemas=each(catalog.schemas, relation("schema")),
        tables=each(catalog.tables, table),
        views=each(catalog.views, relation("table")),
        sequences=each(catalog.sequences, relation("sequence")),
        functions=each(catalog.functions, lambda f: _function(f, owner, levels, catalog.major)),
        types=each(catalog.types, lambda t: given(t, owner or t.owner)),
    )


def _of_tenants(catalog: Catalog, state: State, section: RolesSection, levels: Levels) -> Catalog:
    """What is in the schemas of single tenants gets the owner, and is nobody's else but theirs, now and when it is made."""

    def each(items: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(_closed(i, section.owner, levels) if _concerned_by(i, state.of_tenant) else i for i in items)

    made = {(d.role, d.schema, d.objects): d for d in catalog.default_privileges}
    for place in (s.name for s in catalog.schemas if state.of_tenant(s.name)):
        for maker in filter(None, (section.owner, *section.creators)):
            for of in ("table", "sequence", "function"):
                _merge(made, DefaultPrivilege(maker, place, f"{of}s", tuple(tenancy_schemas.later(place, maker, of))), levels)
    defaults = tuple(sorted(d for d in made.values() if d.grants))
    return replace(
        catalog, schemas=each(catalog.schemas), tables=each(catalog.tables), views=each(catalog.views), sequences=each(catalog.sequences),
        functions=each(catalog.functions), types=each(catalog.types), default_privileges=defaults,
    )  # fmt: skip


def _concerned_by(item: Any, of_tenant: Callable[[str], bool]) -> bool:
    return of_tenant(item.name if isinstance(item, Schema) else item.schema) and not item.extension


def _closed(item: Any, owner: str, levels: Levels) -> Any:
    made = given(item, owner or item.owner)
    return made if made.acl is None else replace(made, acl=tuple(g for g in made.acl if g.grantee not in levels.names))


def _concerned(item: Any, schemas: frozenset[str]) -> bool:
    name = item.name if isinstance(item, Schema) else item.schema
    return name in schemas and not item.extension


def _owned(item: Any, of: str, owner: str, levels: Levels, major: int, *, but: Iterable[tuple[str, str]] = ()) -> Any:
    new = owner or item.owner
    return replace(given(item, new), acl=levels.acl(of, item.acl, item.owner, new, major, but=but))


def _function(function: Function, owner: str, levels: Levels, major: int) -> Function:
    made: Function = _owned(function, "function", owner, levels, major)
    reader = levels.roles.get("readonly")
    if reader is None or not callable_by_readers(function):
        return made
    return replace(made, acl=tuple(sorted({*(made.acl or ()), Grant(reader, "EXECUTE", grantor=made.owner)})))


def _table(table: Table, owner: str, levels: Levels, major: int, hidden: Iterable[Hidden]) -> Table:
    """A table; where columns are hidden from a level, it may read the others one by one instead of the whole."""
    unseen = {level: {c for h in hidden if level in h.levels for c in h.columns} for level in levels.roles}
    partly = {level for level, columns in unseen.items() if columns}
    made: Table = _owned(table, "table", owner, levels, major, but=[(level, "SELECT") for level in partly])

    def column(c: Column) -> Column:
        others = [g for g in c.acl or () if g.grantee not in ("", *levels.names)]
        may = [Grant(levels.roles[level], "SELECT", grantor=made.owner) for level in partly if c.name not in unseen[level]]
        return replace(c, acl=tuple(sorted((*others, *may))) or None)

    return replace(made, columns=tuple(map(column, made.columns)))


def _for_the_future(catalog: Catalog, section: RolesSection, levels: Levels, schemas: Iterable[str], before: Catalog) -> Catalog:
    """Default privileges of every role that makes objects: a default counts for its maker alone."""
    items: tuple[Any, ...] = (*before.tables, *before.views, *before.functions)
    owners = {i.owner for i in items if _concerned(i, frozenset(schemas)) and not section.owner}
    makers = sorted({n for n in (section.owner, *section.creators, *owners) if n})
    made: dict[tuple[str, str, str], DefaultPrivilege] = {(d.role, d.schema, d.objects): d for d in catalog.default_privileges}
    for maker in makers:
        own = (Grant(maker, "EXECUTE", grantor=maker),)
        _merge(made, DefaultPrivilege(maker, "", "functions", own), levels, closed=True)
        for schema in sorted(schemas):
            for of in ("table", "sequence", "function"):
                _merge(made, DefaultPrivilege(maker, schema, f"{of}s", levels.grants(of, maker)), levels)
    return replace(catalog, default_privileges=tuple(sorted(d for d in made.values() if d.grants)))


def _merge(made: dict[tuple[str, str, str], DefaultPrivilege], wanted: DefaultPrivilege, levels: Levels, *, closed: bool = False) -> None:
    """What is wanted beside what others have by default already; `closed` takes away what PUBLIC has."""
    key = wanted.role, wanted.schema, wanted.objects
    before = made.get(key)
    others = [g for g in (before.grants if before else ()) if g.grantee not in (*levels.names, *([""] if closed else []))]
    made[key] = replace(wanted, grants=tuple(sorted({*wanted.grants, *others})))
