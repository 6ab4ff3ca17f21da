"""The attacks on tables and views, as data: what is tried, in whose context, and how the answer is judged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from pgcharter.catalog.model import Table, View
from pgcharter.names import ObjectId, literal, quote
from pgcharter.probe.ground import MINE, NEW, THEIRS, THEIRS_NEW, Ground, May

Judge = Literal["same", "refused", "unwritten", "untaken", "nothing", "no more"]
"""same: the answer must not depend on the rows of others · refused: it must not be let through · unwritten: no row of others may be changed
by it · untaken: it must not touch the attacker's temporary tables · nothing: it must give no row · no more: it must give no more rows than
`plain` does."""
CONTEXT = "own tenant"


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing to try."""

    object: ObjectId
    name: str
    statement: str
    judge: Judge
    expected: str
    context: str = CONTEXT
    first: str = ""
    """Statements before the context is set."""
    data: str = ""
    """What COPY is given."""
    find: str = ""
    """A value of others: only lines that have it in them count."""
    verb: str = ""
    """For the matrix: the verb that it is the plain form of."""
    weak: bool = False
    part: str = ""
    """Name of the constraint or column that it is about."""
    mirror: str = ""
    """The same in the context of the other tenant: what is written in both may only be each one's own."""
    plain: str = ""


_KEYS = ("primary key", "unique", "exclude", "foreign key")
_OWN = "rows of the own tenant alone"
_NONE = "no row without a tenant"


def on_table(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    """Every attack on a table whose rows should be kept apart."""
    yield from _reading(table.id, _listed(table, may), ground)
    yield from _prepared(table, ground, may)
    yield from _changing(table, ground, may)
    yield from _deleting(table, ground)
    yield from _inserting(table, ground, may)
    yield from _moving(table, ground, may)
    yield from _owning(table)


def _listed(relation: Table | View, may: May) -> str:
    readable = may.of(relation.id, "SELECT")
    names = [c.name for c in relation.columns]
    partly = readable and len(readable) < len(names)
    return ", ".join(quote(n) for n in names if n in readable) if partly else "*"


def _reading(at: ObjectId, listed: str, ground: Ground) -> Iterator[Attack]:
    select = f"SELECT {listed} FROM {at.sql()}"
    for context in ground.contexts:
        expected = _OWN if context == CONTEXT else _NONE
        yield Attack(at, "SELECT", select, "same", expected, context, verb="SELECT" if context == CONTEXT else "")
    yield Attack(at, "COPY TO", f"COPY ({select}) TO STDOUT" if listed != "*" or at.kind != "table" else f"COPY {at.sql()} TO STDOUT",
                 "same", _OWN)  # fmt: skip
    yield Attack(at, "count", f"SELECT count(*) FROM {at.sql()}", "same", _OWN)
    row = f"ROW({listed})" if listed != "*" else "t.*"
    told = f"SELECT set_config('pgcharter.told', '', true); SELECT count(*) FROM {at.sql()} t"
    told += f" WHERE pg_temp.pgcharter_told(({row})::text); SELECT current_setting('pgcharter.told', true)"
    yield Attack(at, "function in WHERE", told, "same", _OWN, first=TOLD)
    theirs = next(iter(ground.theirs.values()), "")
    if theirs:
        yield Attack(at, "EXPLAIN", f"EXPLAIN (VERBOSE, COSTS OFF) {select}", "same", "no value of others", find=theirs)
        like = literal(f"%{theirs}%")
        error = f"SELECT count(*) FROM {at.sql()} t WHERE CASE WHEN ({row})::text LIKE {like} THEN ({row})::text::int > 0 ELSE true END"
        yield Attack(at, "error message", error, "same", _OWN)


TOLD = """CREATE FUNCTION pg_temp.pgcharter_told(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN
PERFORM set_config('pgcharter.told', current_setting('pgcharter.told', true) || '.', true); RETURN true; END $$;"""
"""A function that counts the rows it is shown, and is so cheap that it is asked first where nothing forbids it. Made once a session."""


def _prepared(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    """A statement planned in another tenant's context, run in one's own: what was folded into the plan shows."""
    if not ground.theirs:
        return
    from pgcharter.probe.session import settings

    select = f"SELECT {_listed(table, may)} FROM {table.id.sql()}"
    text = f"SET LOCAL plan_cache_mode = force_generic_plan; {settings(ground.theirs)} PREPARE pgcharter_probe AS {select};"
    text += f" EXECUTE pgcharter_probe; {settings(ground.contexts[CONTEXT])} EXECUTE pgcharter_probe"
    yield Attack(table.id, "prepared statement", text, "same", _OWN)


def _changing(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    column = _plain(table, ground, may)
    if not column:
        return
    change = f"UPDATE {table.id.sql()} SET {quote(column)} = {ground.text(table.id, MINE, column)}"
    theirs = ground.is_one(table, THEIRS)
    for context in ground.contexts:
        yield Attack(table.id, "UPDATE", f"{change} WHERE {theirs}" if theirs else change, "same", "no row of others", context)
    mine = ground.is_one(table, MINE)
    if mine:
        mirror = f"{change} WHERE {theirs}"
        yield Attack(table.id, "UPDATE own", f"{change} WHERE {mine}", "same", _OWN, verb="UPDATE", mirror=mirror)
    yield Attack(table.id, "UPDATE all", change, "unwritten", "no row of others")
    yield Attack(table.id, "UPDATE RETURNING", f"{change} RETURNING *", "unwritten", "no row of others")


def _plain(table: Table, ground: Ground, may: May, among: Collection[str] = ()) -> str:
    """A column to write (of those `among`) that says nothing of whose the row is, and is in no key."""
    keys = {c for k in table.constraints if k.kind in _KEYS for c in k.columns} | {c for i in table.indexes if i.unique for c in i.columns}
    able = [c for c in ground.rows.columns.get(table.id, ()) if table.column[c].identity != "always" and c in (among or table.column)]
    allowed = [c for c in able if c in may.of(table.id, "UPDATE")] or able
    free = [c for c in allowed if c not in keys and c not in ground.owned(table)]
    return (free or allowed or [""])[0]


def _deleting(table: Table, ground: Ground) -> Iterator[Attack]:
    theirs, mine = ground.is_one(table, THEIRS), ground.is_one(table, MINE)
    for context in ground.contexts:
        where = f" WHERE {theirs}" if theirs else ""
        yield Attack(table.id, "DELETE", f"DELETE FROM {table.id.sql()}{where}", "same", "no row of others", context)
    if mine:
        delete = f"DELETE FROM {table.id.sql()} WHERE "
        yield Attack(table.id, "DELETE own", f"{delete}{mine}", "same", _OWN, verb="DELETE", mirror=f"{delete}{theirs}")


def _inserting(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    allowed = may.of(table.id, "INSERT") or frozenset(table.column)
    if table.id not in ground.rows.columns:
        return
    names, mine = ground.values(table, NEW, allowed)
    insert = f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES"
    theirs = ground.values(table, THEIRS_NEW, allowed)[1]
    yield Attack(
        table.id, "INSERT own", f"{insert} ({mine})", "same", "a row of the own tenant", verb="INSERT", mirror=f"{insert} ({theirs})"
    )
    if not allowed & {*(ground.tenant_columns(table) or ground.owned(table))}:
        return
    yield Attack(table.id, "INSERT", f"{insert} ({theirs})", "refused", "refused: the row is another tenant's")
    if table.id in ground.guards.users:
        other = ground.values(table, NEW + 1, allowed)[1]
        yield Attack(table.id, "INSERT for another user", f"{insert} ({other})", "refused", "refused: the row is another user's")
    for context in ground.contexts:
        if context != CONTEXT:
            yield Attack(table.id, "INSERT", f"{insert} ({mine})", "refused", "refused without a tenant", context)
    listed, line = ground.line(table, THEIRS_NEW, allowed)
    yield Attack(table.id, "COPY FROM", f"COPY {table.id.sql()} ({listed}) FROM STDIN", "refused", "refused: the row is another tenant's",
                 data=line)  # fmt: skip
    column, key = _plain(table, ground, may), next((k for k in table.unique_keys if {*k} <= allowed), ())
    if key and column:
        row = ground.values(
            table, NEW, allowed, {c: ground.text(table.id, THEIRS, c) for c in key if c not in ground.tenant_columns(table)}
        )[1]
        target = ", ".join(map(quote, key))
        text = f"{insert} ({row}) ON CONFLICT ({target}) DO UPDATE SET {quote(column)} = excluded.{quote(column)}"
        yield Attack(table.id, "ON CONFLICT", text, "unwritten", "no row of others")


def _moving(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    """Giving own rows away. Without a condition no column is read, so policies for SELECT are not asked (documentation, CREATE POLICY)."""
    allowed = may.of(table.id, "UPDATE") or frozenset(table.column)
    changed = [c for c in ground.owned(table) if c in allowed and table.column[c].identity != "always"]
    tenants = ground.tenant_columns(table)
    mine = ground.is_one(table, MINE)
    if not changed or not mine or (tenants and not tenants & {*changed}) or _is_root(table, ground):
        return
    told = ", ".join(f"{quote(c)} = {ground.text(table.id, THEIRS, c)}" for c in changed)
    stay = "refused: rows stay with their tenant"
    yield Attack(table.id, "move to another tenant", f"UPDATE {table.id.sql()} SET {told}", "refused", stay)
    yield Attack(table.id, "move one row", f"UPDATE {table.id.sql()} SET {told} WHERE {mine}", "refused", stay)
    source = f"(SELECT 1) s ON {mine}"
    yield Attack(table.id, "MERGE", f"MERGE INTO {table.id.sql()} USING {source} WHEN MATCHED THEN UPDATE SET {told}", "refused", stay)


def _is_root(table: Table, ground: Ground) -> bool:
    """Whether it is the table of tenants itself: its rows cannot belong to another."""
    key = table.primary_key
    return bool(
        key and len(key.columns) == 1 and ground.guards.kind(table.id, key.columns[0]) == "tenant" and not _leads(table, key.columns[0])
    )


def _leads(table: Table, column: str) -> bool:
    return any(column in k.columns for k in table.foreign_keys)


def _owning(table: Table) -> Iterator[Attack]:
    at = table.id.sql()
    yield Attack(table.id, "TRUNCATE", f"TRUNCATE {at} CASCADE", "refused", "refused: it heeds no row policy", verb="TRUNCATE")
    yield Attack(
        table.id, "switch off", f"ALTER TABLE {at} DISABLE ROW LEVEL SECURITY", "refused", "refused: only for who changes structure"
    )
    trigger = f"CREATE TRIGGER pgcharter_probe BEFORE UPDATE ON {at} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    yield Attack(table.id, "TRIGGER", trigger, "refused", "refused: it would run with the rights of others")


def on_foreign(table: Table) -> Iterator[Attack]:
    """Reading and writing a foreign table, on which no row policy can stand; there is no other side here, so rights are asked for."""
    at, usage = literal(table.id.sql()), f"has_schema_privilege({literal(table.schema)}, 'USAGE')"
    for verb in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        right = f"has_table_privilege({at}, 'DELETE')" if verb == "DELETE" else f"has_any_column_privilege({at}, '{verb}')"
        text = f"SELECT 1 WHERE {usage} AND {right}"
        yield Attack(table.id, verb, text, "nothing", "no right: row policies do not hold on foreign tables")


def on_derived(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    """Reading a table that says nothing of tenants, and into which something of their rows is written."""
    yield from _reading(table.id, _listed(table, may), ground)


def on_view(view: View, ground: Ground, may: May) -> Iterator[Attack]:
    """Every attack on a view or materialized view."""
    yield from _reading(view.id, _listed(view, may), ground)
    base = next((ground.catalog.table[t] for t in sorted(ground.over[view.id])), None)
    if view.kind != "view" or base is None:
        return
    shared = [c.name for c in view.columns if c.name in ground.rows.columns.get(base.id, ())]
    column = _plain(base, ground, may, shared) if shared else ""
    yield Attack(view.id, "DELETE", f"DELETE FROM {view.id.sql()}{_theirs(base, shared, ground)}", "same", "no row of others")
    if column:
        change = f"UPDATE {view.id.sql()} SET {quote(column)} = {ground.text(base.id, MINE, column)}{_theirs(base, shared, ground)}"
        yield Attack(view.id, "UPDATE", change, "same", "no row of others")
    if {*ground.tenant_columns(base)} & {*shared}:
        names, row = ground.values(base, THEIRS_NEW, shared)
        yield Attack(
            view.id, "INSERT", f"INSERT INTO {view.id.sql()} ({names}) VALUES ({row})", "refused", "refused: the row is another tenant's"
        )


def _theirs(base: Table, shared: list[str], ground: Ground) -> str:
    keys = [k for k in base.unique_keys if {*k} <= {*shared}] or [tuple(c for c in ground.owned(base) if c in shared)]
    told = " AND ".join(f"{quote(c)} = {ground.text(base.id, THEIRS, c)}" for c in keys[0])
    return f" WHERE {told}" if told else ""


def by_stranger(at: ObjectId, relation: Table | View, ground: Ground) -> Iterator[Attack]:
    """What nobody without a right of its own may do with a relation."""
    guarded = at in ground.guards.tables or bool(ground.over.get(at))
    expected = "refused: it has no right of its own"
    if guarded:
        yield Attack(at, "SELECT", f"SELECT * FROM {at.sql()}", "refused", expected)
    if isinstance(relation, View) or at not in ground.rows.columns:
        return
    names, row = ground.values(relation, NEW, relation.column)
    yield Attack(at, "INSERT", f"INSERT INTO {at.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})", "refused", expected)
    column = _plain(relation, ground, May({}))
    yield Attack(at, "UPDATE", f"UPDATE {at.sql()} SET {quote(column)} = {ground.text(at, MINE, column)}", "refused", expected)
    yield Attack(at, "DELETE", f"DELETE FROM {at.sql()}", "refused", expected)
    yield from _owning(relation)
