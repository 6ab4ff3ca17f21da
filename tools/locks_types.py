"""Every change from one type of column to another, as statements for tools/locks.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.sqltext import Statement

_FAMILIES = {
    "varchar": ("varchar", "varchar(10)", "varchar(20)"),
    "bpchar": ("char(5)", "char(10)"),
    "numeric": ("numeric", "numeric(10,2)", "numeric(12,2)", "numeric(12,4)"),
    "bit": ("bit(4)", "bit(8)"),
    "varbit": ("varbit", "varbit(4)", "varbit(8)"),
    "time": ("time", "time(3)", "time(6)"),
    "timetz": ("timetz", "timetz(3)", "timetz(6)"),
    "timestamp": ("timestamp", "timestamp(3)", "timestamp(6)"),
    "timestamptz": ("timestamptz", "timestamptz(3)", "timestamptz(6)"),
    "interval": ("interval", "interval(3)", "interval(6)"),
    "varchar array": ("varchar[]", "varchar(10)[]", "varchar(20)[]"),
    "numeric array": ("numeric[]", "numeric(10,2)[]", "numeric(12,2)[]"),
}
"""Types with a modifier: every change within a family is tried."""
_NAMES = """
int2 int4 int8 numeric numeric(10,2) float4 float8 money bool text varchar varchar(10) char(10) "char" name bytea uuid json jsonb xml
date time timetz timestamp timestamptz interval inet cidr macaddr macaddr8 bit(8) varbit oid regclass int4[] int8[] text[] varchar[]
varchar(10)[] numeric[] point tsvector int4range int8range mood mood2 plain strict plain_text strict_text plain_varchar given pair"""
_PLAIN = _NAMES.split()
"""Types between which every change is tried."""
_DOMAINS = (
    "CREATE DOMAIN plain_text AS text",
    "CREATE DOMAIN strict_text AS text CHECK (VALUE <> '')",
    "CREATE DOMAIN plain_varchar AS varchar(10)",
)
_ZONES = ("UTC", "Europe/Berlin")


def _types() -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_PLAIN, *(t for family in _FAMILIES.values() for t in family)]))


def _table(name: str) -> str:
    return "type_" + "".join(c if c.isalnum() else "_" for c in name.replace('"char"', "quoted_char").replace("[]", "_array"))


def typed_tables() -> Iterator[str]:
    """A table for each type: one column, indexed where the type can be, and a hundred rows without a value."""
    yield from _DOMAINS
    for name in _types():
        yield f"CREATE TABLE {_table(name)} (id int, c {name})"
        yield f"INSERT INTO {_table(name)} SELECT i FROM generate_series(1, 100) i"
        yield f"?CREATE INDEX {_table(name)}_c ON {_table(name)} (c)"


def pairs() -> Iterator[tuple[str, Statement]]:
    """Changes of type, each with the session's time zone: by assignment, and by an explicit cast where that may differ."""
    from locks_world import one

    for old, new in _pairs():
        zones = _ZONES if {_stem(old), _stem(new)} == {"timestamp", "timestamptz"} else _ZONES[:1]
        for zone in zones:
            for using in ("", f" USING c::{new}"):
                yield zone, one(f"ALTER TABLE {_table(old)} ALTER COLUMN c TYPE {new}{using}")


def _stem(name: Any) -> str:
    return str(name).partition("(")[0]


def _pairs() -> Iterator[tuple[str, str]]:
    seen = {(old, new) for old in _PLAIN for new in _PLAIN}
    seen |= {(old, new) for family in _FAMILIES.values() for old in family for new in family}
    yield from sorted(seen)
