"""The attacks on what row policies look up: memberships of one's own making, and temporary tables in place of the real ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pgcharter.catalog.model import Function, Table
from pgcharter.names import ObjectId, quote
from pgcharter.probe.attacks import Attack
from pgcharter.probe.ground import MINE, NEW, THEIRS, Ground, May, called, named_in

_NAMED = re.compile(r'(?:FROM|JOIN|EXISTS)\s+\(*((?:\w+|"(?:[^"]|"")+")\.(?:\w+|"(?:[^"]|"")+"))', re.IGNORECASE)
_EXPECTED = "rows of the own tenant alone"


def on_table(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    """Read a table after having made oneself a member of the other tenant."""
    texts = [text for p in table.policies for text in (p.using, p.check)]
    asked = called(ground.catalog, texts)
    select = f"SELECT * FROM {table.id.sql()}"
    for looked in _looked_up(table, ground, [*texts, *(f.body for f in asked)]):
        for step in _joining(looked, ground, may):
            yield Attack(table.id, "self-made membership", f"{step}; {select}", "no more", _EXPECTED, plain=select, part=looked.id.sql())
    for function in asked:
        path = next((s for s in function.settings if s.startswith("search_path=")), "")
        if not path.rstrip().endswith("pg_temp"):
            first = _in_place(function, ground, free=not path)
            if first:
                yield Attack(table.id, "temporary table", f"{first}{select}", "no more", _EXPECTED, plain=select, part=function.id.sql())


def _looked_up(table: Table, ground: Ground, texts: list[str]) -> Iterator[Table]:
    """Tables that policies read, or functions that they call."""
    names = {name.replace('"', "").lower() for text in texts for name in _NAMED.findall(text)}
    for other in ground.catalog.own_tables:
        if other.id != table.id and f"{other.schema}.{other.name}".lower() in names and other.id in ground.rows.columns:
            yield other


def _joining(table: Table, ground: Ground, may: May) -> Iterator[str]:
    """Statements that tie the own user to the other tenant."""
    insert, update = may.of(table.id, "INSERT"), may.of(table.id, "UPDATE")
    mixed = _mixed(table, ground, NEW)
    if insert:
        names, row = ground.values(table, NEW, insert, mixed)
        yield f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})"
    told = ", ".join(f"{quote(c)} = {v}" for c, v in mixed.items() if c in update and table.column[c].identity != "always")
    if told:
        yield f"UPDATE {table.id.sql()} SET {told}"


def _mixed(table: Table, ground: Ground, number: int) -> Mapping[str, str]:
    """The row of the own user in the other tenant: who is mine, where is theirs, the rest is of row `number`."""
    found: dict[str, str] = {}
    owned = ground.owned(table)
    for column in ground.rows.columns.get(table.id, ()):
        kind = ground.guards.kind(table.id, column)
        if kind == "user":
            found[column] = ground.text(table.id, MINE, column)
        elif kind == "tenant" or column in owned or column in _leading(table):
            found[column] = ground.text(table.id, THEIRS, column)
        elif number == MINE:
            found[column] = ground.text(table.id, MINE, column)
    return found


def _leading(table: Table) -> set[str]:
    return {c for k in table.foreign_keys for c in k.columns}


def _in_place(function: Function, ground: Ground, *, free: bool) -> str:
    """Temporary tables under the names that a function looks up, which tie everybody to both tenants."""
    made: list[str] = []
    named = [t for t in ground.catalog.own_tables if t.id in ground.rows.columns and named_in(function.body, [t])]
    for table in named:
        columns = ", ".join(f"{quote(c.name)} {c.type.sql}" for c in table.columns)
        names, theirs = ground.values(table, THEIRS, table.column)
        mine = ground.values(table, MINE, table.column)[1]
        mixed = ground.values(table, MINE, table.column, _mixed(table, ground, MINE))[1]
        at = f"pg_temp.{quote(table.name)}"
        made.append(
            f"CREATE TEMP TABLE {quote(table.name)} ({columns}); INSERT INTO {at} ({names}) VALUES ({mine}), ({theirs}), ({mixed}); "
        )
    if not made:
        return ""
    schemas = ", ".join(dict.fromkeys(quote(t.schema) for t in named))
    return "".join(made) + (f"SET LOCAL search_path = {schemas}; " if free else "") + "DISCARD PLANS; "


def of_role(role: str, settings: Mapping[str, object]) -> Iterator[Attack]:
    """Whether a session has a tenant before anybody sets one."""
    from pgcharter.names import literal

    for name in sorted(settings):
        text = f"SELECT 1 WHERE nullif(current_setting({literal(name)}, true), '') IS NOT NULL"
        yield Attack(
            ObjectId("role", "", role), "setting", text, "nothing", f"no value of {name} before one is set", "no tenant", part=name
        )
