"""Functions, procedures, aggregates and window functions."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf

from pgcharter.catalog.model import Argument, Function
from pgcharter.names import literal, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import addressed
from pgcharter.plan.model import Operation

_INPUT = ("in", "inout", "variadic")
_OUTPUT = ("out", "inout", "table")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def _create(operation: Operation, _: Sides) -> list[str]:
    return [_written(operation).replace("CREATE OR REPLACE ", "CREATE ", 1)]


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {addressed(operation.object)}"]


def _alter(operation: Operation, _: Sides) -> list[str] | None:
    return [_written(operation)] if replaceable(operation.old, operation.new) else None


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER {addressed(operation.object)} RENAME TO {quote(operation.new.name)}"]


def _written(operation: Operation) -> str:
    """The routine as PostgreSQL writes it back. Raises ValueError where it was not read."""
    if not operation.new.definition:
        raise ValueError(f"{operation.object} belongs to an extension, so its definition is not known and it cannot be written")
    return str(operation.new.definition).rstrip("\n")


def has_sql_body(function: Function) -> bool:
    """Whether its body is an SQL-standard one (BEGIN ATOMIC or RETURN), whose names PostgreSQL looks up when it is written."""
    return function.language == "sql" and bool(function.body) and function.definition.rstrip("\n").endswith(f"\n{function.body}")


def hollow(function: Function) -> Function:
    """The function with the same signature and qualities and a body that needs nothing and refuses to run (for a moment)."""
    head = function.definition.rstrip("\n").removesuffix(function.body).replace("\n LANGUAGE sql\n", "\n LANGUAGE plpgsql\n", 1)
    body = f"BEGIN RAISE EXCEPTION {literal(f'{function.id} is being made: try again')}; END"
    return replace(function, language="plpgsql", body=body, definition=f"{head}AS {literal(body)}")


def rivals(one: Function, other: Function) -> bool:
    """Whether a call might mean either of two functions: they have one name, and some number of arguments fits both."""
    (least, most), (low, high) = _arity(one), _arity(other)
    return (one.schema, one.name) == (other.schema, other.name) and least <= high and low <= most


def _arity(function: Function) -> tuple[int, float]:
    """The least and the greatest number of arguments in a call."""
    inputs = _inputs(function)
    least = sum(1 for a in inputs if not a.default and a.mode != "variadic")
    return least, inf if any(a.mode == "variadic" for a in inputs) else len(inputs)


def replaceable(old: Function, new: Function) -> bool:
    """Whether CREATE OR REPLACE takes `new` in the place of `old` (`ProcedureCreate` and `AggregateCreate` in PostgreSQL's sources).

    It refuses another kind, another result (of several output columns also other names of them), other names of input arguments that had
    one, fewer defaults, and another type of the default of a polymorphic argument (whose type the model does not tell: any other counts).
    """
    if old.kind != new.kind or old.identity != new.identity or _result(old) != _result(new):
        return False
    if old.kind == "aggregate" and _direct(old) != _direct(new):
        return False
    if (old.kind == "procedure" or len(_outputs(old)) > 1) and _outputs(old) != _outputs(new):
        return False
    return all(_keeps(one, other) for one, other in zip(_inputs(old), _inputs(new), strict=True))


def _keeps(old: Argument, new: Argument) -> bool:
    if old.name not in ("", new.name) or (old.default and not new.default):
        return False
    return not old.default or old.type.kind != "pseudo" or old.default == new.default


def _inputs(function: Function) -> list[Argument]:
    return [a for a in function.arguments if a.mode in _INPUT]


def _result(function: Function) -> str:
    """What it returns, said without TABLE, which only names output columns."""
    columns = [a for a in function.arguments if a.mode == "table"]
    return f"SETOF {columns[0].type.sql if len(columns) == 1 else 'record'}" if columns else function.returns


def _outputs(function: Function) -> list[tuple[str, str]]:
    return [(a.name, a.type.sql) for a in function.arguments if a.mode in _OUTPUT]


def _direct(aggregate: Function) -> tuple[int, bool]:
    """How many of the arguments stand before ORDER BY (-1: there is none), and whether it is a hypothetical set."""
    arguments, _, parts = _QUOTED.sub("x", aggregate.definition).partition(") (")
    before, ordered, _ = arguments.partition("(")[2].partition("ORDER BY ")
    return before.count(",") + bool(before.strip()) if ordered else -1, parts.endswith(" HYPOTHETICAL)")


_WRITER = Writer(_create, _drop, _alter, _rename)
WRITERS = {"function": _WRITER, "procedure": _WRITER, "aggregate": _WRITER}
