"""Code that nothing runs any more, and code that cannot run: functions and the tables and triggers they were written for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Catalog, Sequence, Table, UserType, View
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies
from pgcharter.rules.engine import Context, rule


@rule("FUN16", "trigger-function-without-trigger", Severity.INFO)
def trigger_function_without_trigger(ctx: Context) -> Iterator[Finding]:
    """A trigger function that no trigger calls.

    Why: either it is dead, or the trigger was forgotten: then the times, audit entries or checks it was written for do not happen, and
    nobody is told.

    Instead: `CREATE TRIGGER ... EXECUTE FUNCTION app.set_updated_at()`, or `DROP FUNCTION`.

    Except: functions that another function names (it makes the triggers), and functions of extensions.
    """
    relations: tuple[Table | View, ...] = (*ctx.catalog.tables, *ctx.catalog.views)
    called = {t.function for r in relations for t in r.triggers} | {e.function for e in ctx.catalog.event_triggers}
    unused = [f for f in ctx.catalog.own_functions if f.returns in ("trigger", "event_trigger") and f.id not in called]
    if not unused:
        return
    elsewhere = [*(f.body for f in ctx.catalog.functions), *(s.text for s in ctx.reading.unbuilt)]
    for function in unused:
        named = re.compile(rf"\b{re.escape(function.name)}\b")
        if any(named.search(text) for text in elsewhere if text is not function.body):
            continue
        yield ctx.finding(
            function,
            f"no trigger calls {function.id.sql()}, so what it was written for does not happen",
            hint=f"CREATE TRIGGER ... EXECUTE FUNCTION {function.id.sql()}, or DROP FUNCTION {function.id.sql()}",
        )


_MAKES = re.compile(r"\bcreate\s+(?:\w+\s+){0,3}?(?:table|view)\b|\brename\s+to\b|\bset\s+schema\b", re.IGNORECASE)

_READY = re.compile(r"\bto_regclass\s*\(|\bundefined_table\b|'42P01'|\bpg_tables\b|\binformation_schema\s*\.\s*tables\b", re.IGNORECASE)
"""Words of a function that asks whether a table is there, or that handles the error."""


@rule("FUN17", "function-names-missing-table", Severity.WARNING)
def function_names_missing_table(ctx: Context) -> Iterator[Finding]:
    """A function reads or writes a table that does not exist.

    Why: PL/pgSQL resolves names when a statement runs, so that a table can be dropped or renamed under a function without a word. The
    next call that gets there fails; in a trigger, the write of the user does.

    Instead: the table's name of today, or no function.

    Except: only names written with a schema that exists are looked at; tables that some function creates,
    functions that ask first (to_regclass) or handle undefined_table, and dynamic SQL, are not.
    """
    if ctx.reading.unbuilt:
        return
    schemas = {s.name for s in ctx.catalog.schemas}
    known = _relations(ctx.catalog)
    maker = "\n".join(f.body for f in ctx.catalog.own_functions if _MAKES.search(f.body))
    for function in ctx.catalog.own_functions:
        if function.language != "plpgsql" and bodies.bound_early(function):
            continue
        told = set[tuple[str, str]]()
        ready = _READY.search(function.body) is not None
        for m in bodies.mentions(function.body) if bodies.readable(function) else ():
            address = (m.schema, m.name)
            if m.schema not in schemas or m.how == "using" or address in known or address in told or m.name in maker or ready:
                continue
            told.add(address)
            missing = f"{quote(m.schema)}.{quote(m.name)}"
            yield ctx.finding(
                function,
                f"{function.id} names {missing}, which does not exist: it fails when it gets there",
                detail=missing,
                how=m.how,
            )


def _relations(catalog: Catalog) -> set[tuple[str, str]]:
    """Whatever may stand behind FROM."""
    named: tuple[Table | View | Sequence | UserType, ...] = (*catalog.tables, *catalog.views, *catalog.sequences, *catalog.types)
    return {(r.schema, r.name) for r in named}
