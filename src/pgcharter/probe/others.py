"""The attacks on functions, sequences, schemas, roles, what PostgreSQL itself shows, and tables that are yet to be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgcharter.catalog.model import Catalog, Function
from pgcharter.migrate.values import values
from pgcharter.names import ObjectId, literal, quote
from pgcharter.probe.attacks import CONTEXT, Attack
from pgcharter.probe.ground import Ground, is_callable, named_in

_SAME = "nothing that comes from rows of others"
_NUMBERS = {"values of the other tenant": "2", "own values": "0", "NULL": ""}
"""Own values of row 1 are the first of their type, those of row 3 the third (`probe.rows`), tenants' too."""


def on_function(function: Function, ground: Ground) -> Iterator[Attack]:
    """Calls with values of the other tenant, with own ones, with none at all; a definer's names taken by temporary tables."""
    calls = dict.fromkeys(c for n in _NUMBERS.values() if (c := _call(function, ground.catalog, n)))
    for call in calls:
        for context in ground.contexts:
            yield Attack(function.id, "EXECUTE", call, "same", _SAME, context, verb="EXECUTE" if context == CONTEXT else "")
    path = next((s for s in function.settings if s.startswith("search_path=")), "")
    if function.security_definer and calls and not path.rstrip().endswith("pg_temp"):
        yield from _hijack(function, ground, next(iter(calls)), free=not path)


def _call(function: Function, catalog: Catalog, number: str) -> str:
    """A call with generated arguments; empty when no value of a type is known."""
    told: list[str] = []
    for argument in function.arguments:
        if argument.mode in ("out", "table"):
            continue
        found = values(argument.type, catalog, 0, 72)
        if found is None:
            return ""
        value = found.make(f"({number} % {found.capacity})") if number else "NULL"
        told.append(f"{'VARIADIC ' if argument.mode == 'variadic' else ''}({value})::{argument.type.sql}")
    name = ObjectId("table", function.schema, function.name).sql()
    return f"{'CALL' if function.kind == 'procedure' else 'SELECT * FROM'} {name}({', '.join(told)})"


def _hijack(function: Function, ground: Ground, call: str, *, free: bool) -> Iterator[Attack]:
    """Temporary tables under the names in the body. Plans of earlier calls know their tables already, so they are discarded."""
    named = [r for r in named_in(function.body, [*ground.catalog.own_tables, *ground.catalog.own_views]) if r.columns]
    if not named:
        return
    made = {r.name: f"CREATE TEMP TABLE {quote(r.name)} ({', '.join(f'{quote(c.name)} {c.type.sql}' for c in r.columns)});" for r in named}
    path = ", ".join(dict.fromkeys(quote(r.schema) for r in named))
    first = "".join(f"{text}GRANT ALL ON {quote(name)} TO PUBLIC;" for name, text in made.items()) + (
        f"SET LOCAL search_path = pg_temp, {path};" if free else ""
    )
    first += "DISCARD PLANS;"
    yield Attack(function.id, "temporary table", call, "untaken", "it finds its own tables, not the caller's", first=first)


def callables(ground: Ground) -> list[Function]:
    """The project's functions that a statement can call."""
    return [f for f in ground.catalog.own_functions if is_callable(f)]


def on_roles(names: Iterable[str]) -> Iterator[Attack]:
    """Becoming a role that stands above tenants."""
    for name in names:
        yield Attack(ObjectId("role", "", name), "SET ROLE", f"SET LOCAL ROLE {quote(name)}", "refused", "refused: it stands above tenants")


def on_schemas(ground: Ground, *, stranger: bool) -> Iterator[Attack]:
    """Putting something of one's own where others look names up."""
    for schema in ground.catalog.schemas:
        if not schema.extension and (stranger or any(t.schema == schema.name for t in ground.guards.tables)):
            at = ObjectId("schema", "", schema.name)
            text = f"CREATE TABLE {quote(schema.name)}.pgcharter_probe (i integer)"
            yield Attack(at, "CREATE", text, "refused", "refused: only who changes structure", weak=not stranger)


def on_catalog(ground: Ground) -> Iterator[Attack]:
    """What statistics tell of rows that cannot be seen."""
    schemas = ", ".join(sorted({literal(t.schema) for t in ground.guards.tables}))
    columns = "schemaname, tablename, attname, null_frac, n_distinct, most_common_vals::text, histogram_bounds::text"
    text = f"SELECT {columns} FROM pg_catalog.pg_stats WHERE schemaname IN ({schemas})"
    yield Attack(ObjectId("view", "pg_catalog", "pg_stats"), "SELECT", text, "same", _SAME)


def by_stranger(ground: Ground, future: Iterable[ObjectId]) -> Iterator[Attack]:
    """What nobody without a right of its own may do with sequences, functions of others' rights, and tables yet to come."""
    expected = "refused: it has no right of its own"
    for sequence in ground.catalog.sequences:
        if not sequence.extension:
            name = literal(sequence.id.sql())
            yield Attack(sequence.id, "nextval", f"SELECT nextval({name})", "refused", expected)
            yield Attack(sequence.id, "setval", f"SELECT setval({name}, {sequence.minimum})", "refused", expected)
    for function in callables(ground):
        call = _call(function, ground.catalog, "0")
        if function.security_definer and call:
            yield Attack(function.id, "EXECUTE", call, "refused", "refused: it runs with the rights of its owner")
    for at in future:
        yield Attack(at, "SELECT", f"SELECT * FROM {at.sql()}", "refused", expected)
        yield Attack(at, "INSERT", f"INSERT INTO {at.sql()} VALUES (1)", "refused", expected)
