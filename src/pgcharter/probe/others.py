"""The attacks on functions, sequences, schemas, roles, what PostgreSQL itself shows, and tables that are yet to be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgcharter.catalog.model import Function
from pgcharter.names import ObjectId, literal, quote
from pgcharter.probe.attacks import CONTEXT, Attack
from pgcharter.probe.calls import call, calls
from pgcharter.probe.ground import MINE, Ground, is_callable, named_in

_SAME = "nothing that comes from rows of others"


def on_function(function: Function, ground: Ground) -> Iterator[Attack]:
    """Calls with values of the other tenant, with own ones, with none at all; a definer's names taken by temporary tables."""
    tried = list(calls(function, ground))
    for text in tried:
        for context in ground.contexts:
            own = context == CONTEXT
            yield Attack(function.id, "EXECUTE", text, "same", _SAME, context, verb="EXECUTE" if own else "", mirror=text if own else "")
    path = next((s for s in function.settings if s.startswith("search_path=")), "")
    if function.security_definer and tried and not path.rstrip().endswith("pg_temp"):
        yield from _hijack(function, ground, tried[0], free=not path)


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


def uncalled(ground: Ground) -> list[ObjectId]:
    """Functions with their owner's rights for which no arguments are known."""
    tried = (f for f in callables(ground) if f.security_definer and f.id not in ground.reviewed)
    return [f.id for f in tried if not call(f, ground, MINE)]


def on_roles(names: Iterable[str]) -> Iterator[Attack]:
    """Becoming a role that stands above tenants."""
    for name in names:
        at, expected = ObjectId("role", "", name), "refused: it stands above tenants"
        yield Attack(at, "SET ROLE", f"SET LOCAL ROLE {quote(name)}", "refused", expected)
        yield Attack(at, "GRANT", f"GRANT {quote(name)} TO CURRENT_USER; SET LOCAL ROLE {quote(name)}", "refused", expected)


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
        text = call(function, ground, MINE)
        if function.security_definer and text:
            yield Attack(function.id, "EXECUTE", text, "refused", "refused: it runs with the rights of its owner")
    for at in future:
        yield Attack(at, "SELECT", f"SELECT * FROM {at.sql()}", "refused", expected)
        yield Attack(at, "INSERT", f"INSERT INTO {at.sql()} VALUES (1)", "refused", expected)
