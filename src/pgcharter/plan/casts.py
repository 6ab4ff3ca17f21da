"""Which types PostgreSQL turns into which by itself when a column's type is changed, and which need to be told.

Source: `pg_cast` of 15, 16, 17 and 18, which agree on what is here; `tests/plan/test_ddl_relations.py` asks the servers.
"""

from __future__ import annotations

import re

from pgcharter.catalog.model import Catalog, DataType

_REG = "regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype"
_NUMBERS = "float4 float8 int2 int4 int8 numeric"
ASSIGNMENT: dict[str, frozenset[str]] = {
    source: frozenset(targets.split())
    for source, targets in {
        "bit": "varbit", "box": "polygon",
        "char": "bpchar text varchar", "cidr": "inet", "date": "timestamp timestamptz", "float4": _NUMBERS,
        "float8": _NUMBERS, "inet": "cidr", "int2": f"{_NUMBERS} oid {_REG}", "int4": f"{_NUMBERS} money oid {_REG}",
        "int8": f"{_NUMBERS} money oid {_REG}", "interval": "time", "json": "jsonb", "jsonb": "json", "macaddr": "macaddr8",
        "macaddr8": "macaddr", "money": "numeric", "numeric": f"{_NUMBERS} money", "oid": f"int4 int8 {_REG}", "path": "polygon",
        "point": "box", "polygon": "path", "text": "char name regclass", "bpchar": "char name", "varchar": "char name regclass",
        "time": "interval timetz", "timestamp": "date time timestamptz", "timestamptz": "date time timestamp timetz", "timetz": "time",
        "varbit": "bit",
        "regoper": "int4 int8 oid regoperator", "regoperator": "int4 int8 oid regoper",
        "regproc": "int4 int8 oid regprocedure", "regprocedure": "int4 int8 oid regproc",
        **dict.fromkeys(["regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regrole", "regtype"], "int4 int8 oid"),
    }.items()
}  # fmt: skip
"""Casts that an assignment makes, by `typname`, beside those to text types, which every type has."""
EXPLICIT: dict[str, frozenset[str]] = {
    source: frozenset(targets.split())
    for source, targets in {
        "bit": "int4 int8", "bool": "int4", "box": "circle lseg point", "char": "int4", "circle": "box point polygon",
        "daterange": "datemultirange", "int4": "bit bool char", "int4range": "int4multirange", "int8": "bit",
        "int8range": "int8multirange", "jsonb": f"bool {_NUMBERS}", "lseg": "point", "numrange": "nummultirange",
        "polygon": "box circle point", "tsrange": "tsmultirange", "tstzrange": "tstzmultirange", "xid8": "xid",
    }.items()
}  # fmt: skip
"""Casts that must be asked for; those from text types, which every type has, apart, and those that only 18 has."""
_TEXT = frozenset(("text", "varchar", "bpchar"))


def using(column: str, old: DataType, new: DataType, catalog: Catalog) -> str:
    """What must stand after USING for a column of type `old` to become `new`; empty when PostgreSQL converts by itself.

    It converts where an assignment would (documentation, "ALTER TABLE"), and then it is left alone: an explicit cast is not the same, it
    cuts what is too long for varchar(n). Where only an explicit cast exists it is written; where there is none, the way is through text.
    """
    source, target = old.basic, new.basic
    if old.array == new.array and (source == target or target in ASSIGNMENT.get(source, ())):
        return ""
    if target in _TEXT and not new.array:
        return ""
    if target in _TEXT and old.array:
        return ""
    made = _made(old, new, catalog)
    if made in (" AS ASSIGNMENT", " AS IMPLICIT"):
        return ""
    direct = (source in _TEXT and not old.array) or (old.array == new.array and target in EXPLICIT.get(source, ())) or made is not None
    if old.array and new.array and source in _TEXT:
        direct = True
    return f"{column}::{new.sql}" if direct else f"{column}::text::{new.sql}"


_WIDER = ("int2", "int4", "int8", "numeric")
_SAME = frozenset((
    ("json", "jsonb"), ("jsonb", "json"), ("timestamp", "timestamptz"), ("timestamptz", "timestamp"), ("float4", "float8"),
    ("date", "timestamp"), ("timestamp", "date"),
))  # fmt: skip
"""Of which type every value has a place in which."""


def holds(old: DataType, new: DataType) -> bool:
    """Whether a column of type `old` has a place for every value of type `new`, if not all of it."""
    if old.array or new.array or old.kind == "domain" or new.kind == "domain":
        return False
    source, target = new.basic, old.basic
    if target in ("text", "varchar"):
        return old.length is None
    if source in _WIDER and target in _WIDER:
        narrower = _WIDER.index(source) < _WIDER.index(target)
        return narrower and (target != "numeric" or old.precision is None)
    return (source, target) in _SAME


def _made(old: DataType, new: DataType, catalog: Catalog) -> str | None:
    """How far a cast that somebody made between the two goes; None without one."""
    name = f"({_bare(old)} AS {_bare(new)})"
    cast = next((c for c in catalog.others if c.kind == "cast" and c.name == name), None)
    if cast is None:
        return None
    return next((end for end in (" AS ASSIGNMENT", " AS IMPLICIT") if cast.definition.endswith(end)), "")


def _bare(type_: DataType) -> str:
    return re.sub(r"\(\d+(,-?\d+)?\)", "", type_.sql)
