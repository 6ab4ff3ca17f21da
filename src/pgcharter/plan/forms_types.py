"""Types in statements: which change of type it is, and what sort of default a new column has."""

from __future__ import annotations

from typing import Any

from pgcharter.catalog.model import Column, DataType, UserType
from pgcharter.plan.oracle import volatilities
from pgcharter.plan.scope import UNKNOWN, Scope, names
from pgcharter.sqltext import enum_name, walk

SERIALS = {"serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"}
_LENGTHS = {"varchar", "bpchar", "bit", "varbit"}
_DIGITS = {"time", "timetz", "timestamp", "timestamptz", "interval"}
_FINEST = 6
"""Digits of a second that times have when none are stated."""
_WHOLE_INTERVAL = 32767


def default_kind(expression: Any, scope: Scope) -> str:
    """constant, stable or volatile: as far as an expression's value may differ from row to row. `*` when that is not known."""
    if expression is None:
        return "no default"
    found = {"constant default"}
    for kind, node in walk(expression):
        if kind == "FuncCall":
            found.add(_volatility(names(node.funcname), scope))
        elif kind in ("SQLValueFunction", "ColumnRef"):
            found.add("stable default")
        elif kind == "TypeCast" and _plain(names(node.type_name.names)) not in _BUILT_IN:
            found.add("*default")
    return next(kind for kind in ("volatile default", "*default", "stable default", "constant default") if kind in found)


def _volatility(dotted: list[str], scope: Scope) -> str:
    schema, name = "".join(dotted[:-1]), dotted[-1]
    own = {"volatile", "stable", "immutable"} if scope.around is None and schema not in ("", "pg_catalog") else set()
    if scope.around is not None and schema != "pg_catalog":
        # a volatile function in SQL is perhaps put in place of its call, and what is left is not volatile
        own = {
            "inlined" if f.volatility == "volatile" and f.language == "sql" else f.volatility
            for f in scope.around.catalog.functions
            if f.name == name and schema in ("", f.schema)
        }
    if schema in ("", "pg_catalog"):
        own |= {volatilities()[name]} if name in volatilities() else set()
    if own == {"volatile"}:
        return "volatile default"
    return "*default" if not own or own & {"volatile", "inlined"} else "stable default"


def column_facet(definition: Any, scope: Scope) -> str:
    """What of a new column decides about a rewrite: `constant default, not null`, `serial`, `identity`, `generated stored`."""
    constraints = {enum_name(c.constraint, "contype"): c.constraint for c in definition.constraints}
    required = ", not null" if "CONSTR_NOTNULL" in constraints else ""
    if _plain(names(definition.type_name.names)) in SERIALS:
        return "serial"
    if "CONSTR_IDENTITY" in constraints:
        return "identity"
    domain, given = _domain_facet(definition.type_name, scope)
    if "CONSTR_GENERATED" in constraints:
        kind = {"v": "generated virtual"}.get(constraints["CONSTR_GENERATED"].generated_kind, "generated stored")
        return kind + required + domain
    default = constraints.get("CONSTR_DEFAULT")
    kind = default_kind(default.raw_expr if default is not None else None, scope)
    if kind == "no default":
        kind = given
    return kind + required + domain


def _domain_facet(named: Any, scope: Scope) -> tuple[str, str]:
    """Whether a type is a domain that checks its values, and which default it brings along."""
    dotted = names(named.names)
    if _plain(dotted) in _BUILT_IN and (len(dotted) == 1 or dotted[0] == "pg_catalog"):
        return "", "no default"
    found = scope.user_type(dotted)
    if found is None or scope.around is None:
        return UNKNOWN, UNKNOWN
    if found.kind != "domain" or named.array_bounds:
        return "", "no default"
    given = "no default" if not found.default else UNKNOWN if "(" in found.default else "constant default"
    return ", constrained domain" if scope.around.constrained(found) else "", given


def change_facet(column: Column | None, definition: Any, scope: Scope) -> str:
    """Which change of a column's type it is: `varchar(n) to longer varchar`, `int4 to int8 using cast`, `using expression`."""
    using = _using(definition, column.name if column else "")
    if using == "expression":
        return "using expression"
    if column is None:
        return UNKNOWN
    new, old = _written(definition.type_name, scope), _held(column.type, scope)
    collation = names(definition.coll_clause.collname)[-1] if definition.HasField("coll_clause") else ""
    changed = collation != column.collation.rpartition(".")[2].strip('"')
    tail = ", other collation" * changed + using
    return f"{_pair(old, new)}{_zone(old[0], new[0], scope)}{tail}"


_Shape = tuple[str, tuple[int, ...] | None]
"""A type's plain name and its modifiers (None without)."""


def _pair(old: _Shape, new: _Shape) -> str:
    if old[0] != new[0] or old[0] == UNKNOWN:
        return f"{_limited(old)} to {_limited(new)}"
    if old[1] == new[1]:
        return f"{_limited(old)} to the same"
    if old[1] is None or new[1] is None:
        return f"{_limited(old)} to {_limited(new)}"
    if len(new[1]) == 2 and len(old[1]) == 2 and old[1][1] != new[1][1]:
        return f"{old[0]}(n) to other scale"
    return f"{old[0]}(n) to {'longer' if new[1] > old[1] else 'shorter'}"


def _limited(shape: _Shape) -> str:
    return shape[0] + ("(n)" if shape[1] is not None and shape[0] != UNKNOWN else "")


def _zone(old: str, new: str, scope: Scope) -> str:
    if UNKNOWN in (old, new):
        return UNKNOWN
    if {old, new} != {"timestamp", "timestamptz"}:
        return ""
    if not scope.timezone:
        return UNKNOWN
    return " in UTC" if is_utc(scope.timezone) else " not in UTC"


def is_utc(zone: str) -> bool:
    """Whether a time zone is UTC under one of its names: then timestamp and timestamptz hold the same values."""
    return zone.upper() in _UTC


_UTC = {"UTC", "GMT", "ETC/UTC", "ETC/GMT", "Z", "ZULU", "UCT", "UNIVERSAL", "ETC/UCT", "ETC/UNIVERSAL", "ETC/ZULU", "GREENWICH"}


def _using(definition: Any, column: str) -> str:
    """How USING makes the new value: not stated or the column itself (empty), ` using cast` to the same type, or an expression."""
    if not definition.HasField("raw_default"):
        return ""
    expression, cast = definition.raw_default, ""
    if expression.HasField("type_cast"):
        if _text(expression.type_cast.type_name) != _text(definition.type_name):
            return "expression"
        expression, cast = expression.type_cast.arg, " using cast"
    plain = expression.HasField("column_ref") and [f.string.sval for f in expression.column_ref.fields][-1:] == [column]
    return cast if plain or (not column and expression.HasField("column_ref")) else "expression"


def _text(named: Any) -> tuple[object, ...]:
    return tuple(names(named.names)[-1:]), _modifiers(named), len(named.array_bounds)


def _modifiers(named: Any) -> tuple[int, ...] | None:
    found = tuple(m.a_const.ival.ival for m in named.typmods)
    if found[:1] == (_WHOLE_INTERVAL,):
        found = found[1:]
    return found or None


def _written(named: Any, scope: Scope) -> _Shape:
    """The type that a TypeName means."""
    dotted = names(named.names)
    found = scope.user_type(dotted)
    if found is not None:
        name = _user_kind(found, scope)
    elif _plain(dotted) in _BUILT_IN:
        name = _plain(dotted)
    else:
        return UNKNOWN, None
    modifiers = _modifiers(named)
    if name == "numeric" and modifiers is not None and len(modifiers) == 1:
        modifiers = (*modifiers, 0)
    if name in _DIGITS and modifiers == (_FINEST,):
        modifiers = None
    if name == "interval" and named.typmods and named.typmods[0].a_const.ival.ival != _WHOLE_INTERVAL:
        return UNKNOWN, None
    return name + (" array" if named.array_bounds else ""), modifiers


def _held(held: DataType, scope: Scope) -> _Shape:
    """The type that a column has."""
    user = scope.around.catalog.type.get((held.schema, held.name)) if scope.around else None
    name = _user_kind(user, scope) if user is not None else _plain([held.name])
    if user is None and name not in _BUILT_IN:
        return UNKNOWN, None
    modifiers: tuple[int, ...] | None = None
    if held.name in _LENGTHS and held.length is not None:
        modifiers = (held.length,)
    elif held.name == "numeric" and held.precision is not None:
        modifiers = (held.precision, held.scale or 0)
    elif held.name in _DIGITS and held.precision is not None:
        modifiers = (held.precision,) if held.precision != _FINEST else None
    if held.name == "interval" and (" to " in held.sql or held.sql.rstrip("()0123456789[]") not in ("interval",)):
        return UNKNOWN, None
    return name + (" array" if held.array else ""), modifiers


def _user_kind(found: UserType, scope: Scope) -> str:
    if found.kind != "domain":
        return f"{found.kind} type"
    base = found.base.name if found.base is not None else ""
    constrained = scope.around is not None and scope.around.constrained(found)
    limited = found.base is not None and (found.base.length is not None or found.base.precision is not None)
    return f"{'constrained ' if constrained else ''}domain over {base}{'(n)' if limited else ''}"


def _plain(dotted: list[str]) -> str:
    """`pg_type.typname` of a built-in type, from the parser's name for it (`character varying` has become `varchar` there)."""
    return dotted[-1] if len(dotted) == 1 or dotted[0] == "pg_catalog" else ""


_NAMES = """
int2 int4 int8 numeric float4 float8 bool text varchar bpchar char name uuid json jsonb jsonpath xml date time timetz timestamp timestamptz
interval bytea inet cidr macaddr macaddr8 bit varbit money oid regclass regtype regproc tsvector tsquery point line lseg box path polygon
circle int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange nummultirange tsmultirange tstzmultirange
datemultirange pg_lsn xid xid8 tid"""
_BUILT_IN = frozenset(_NAMES.split())
"""Types of PostgreSQL's own that need no catalog to be recognised."""
