"""What attacks are written from: the catalog, its guards, made-up rows, and the columns that a role may touch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog, Constraint, DataType, Function, Table, View
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy.guards import Guards
from pgcharter.probe.rows import Rows
from pgcharter.probe.session import Context

if TYPE_CHECKING:
    from pgcharter.db import Connection

NEW, THEIRS_NEW, MINE, THEIRS = 5, 7, 1, 3
"""Rows by number: one to insert for the own tenant and for another; one that is there of the own tenant and of another."""

_READS = re.compile(r"current_setting\(\s*'(?:[^']|'')*'|\W''(?!')")
"""Names of settings, and the empty text, in an expression."""
_LITERAL = re.compile(r"'((?:[^']|'')+)'")

_COLUMNS = """
SELECT n.nspname, c.relname, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT'),
       has_column_privilege(c.oid, a.attnum, 'INSERT'), has_column_privilege(c.oid, a.attnum, 'UPDATE')
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%'
"""


@dataclass(frozen=True)
class May:
    """Columns by relation and verb that a role has a privilege on."""

    columns: Mapping[tuple[str, str, str], frozenset[str]]

    def of(self, at: ObjectId, verb: str) -> frozenset[str]:
        """The columns of a relation."""
        return self.columns.get((at.schema, at.name, verb), frozenset())


def may(conn: Connection) -> May:
    """Ask PostgreSQL for the columns that the session's role may touch."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for schema, name, column, *rights in conn.execute(_COLUMNS.encode()).fetchall():
        for verb, right in zip(("SELECT", "INSERT", "UPDATE"), rights, strict=True):
            if right:
                found.setdefault((schema, name, verb), set()).add(column)
    return May({key: frozenset(columns) for key, columns in found.items()})


@dataclass(frozen=True)
class Ground:
    """One database to attack."""

    catalog: Catalog
    guards: Guards
    rows: Rows
    reviewed: Collection[ObjectId] = field(default_factory=frozenset)
    """Views and functions that may see rows of all tenants."""

    @cached_property
    def contexts(self) -> Mapping[str, Context]:
        """Contexts by name: that of the first tenant and its first user, none, and what a transaction-local setting leaves behind."""
        own = self._context(MINE)
        return {"own tenant": own, "no tenant": {}, "empty tenant": dict.fromkeys(own, "")} if own else {"no tenant": {}}

    @cached_property
    def theirs(self) -> Context:
        """The context of the other tenant."""
        return self._context(THEIRS)

    def _context(self, number: int) -> Context:
        values = {name: self.rows.value(at, number, column) for name, (at, column) in self.guards.settings.items()}
        return {name: value for name, value in values.items() if value is not None}

    @cached_property
    def over(self) -> Mapping[ObjectId, frozenset[ObjectId]]:
        """Guarded tables that each view stands on, also through other views."""
        direct: dict[ObjectId, set[ObjectId]] = {}
        for d in self.catalog.dependencies:
            direct.setdefault(_relation(d.dependent), set()).add(_relation(d.referenced))
        found: dict[ObjectId, frozenset[ObjectId]] = {}
        for view in self.catalog.own_views:
            seen, waiting = set[ObjectId](), [_relation(view.id)]
            while waiting:
                for below in direct.get(waiting.pop(), ()):
                    if below not in seen:
                        seen.add(below)
                        waiting.append(below)
            found[view.id] = frozenset(seen & self.guards.tables)
        return found

    def owned(self, table: Table) -> tuple[str, ...]:
        """Columns that say whose a row is: those of tenants and users, and foreign keys to guarded rows."""
        keys = {c for k in table.foreign_keys if k.references in self.guards.tables for c in k.columns}
        known = self.rows.columns.get(table.id, ())
        return tuple(c for c in known if c in keys or self.guards.kind(table.id, c))

    def tenant_columns(self, table: Table) -> frozenset[str]:
        """Columns of a table that hold a tenant."""
        return frozenset(c.name for c in table.columns if self.guards.kind(table.id, c.name) == "tenant")

    def fixed(self, kind: DataType) -> tuple[str, ...]:
        """Values of a tenant's type that stand in row policies, in functions that those call, and in defaults of tenants' columns."""
        found = dict.fromkeys(t.replace("''", "'") for text in self._telling for t in _LITERAL.findall(_READS.sub("", text)))
        return tuple(v for v in found if _fits(v, kind))[:3]

    @cached_property
    def _telling(self) -> tuple[str, ...]:
        tables = [t for t in self.catalog.own_tables if t.id in self.guards.tables]
        policies = [text for t in tables for p in t.policies for text in (p.using, p.check)]
        defaults = [t.column[c].default for t in tables for c in self.tenant_columns(t)]
        return (*policies, *defaults, *(f.body for f in called(self.catalog, (*policies, *defaults))))

    def text(self, at: ObjectId, number: int, column: str) -> str:
        """A made-up value as SQL writes it."""
        value = self.rows.value(at, number, column)
        return "NULL" if value is None else literal(value)

    def is_one(self, table: Table, number: int) -> str:
        """A condition that one row meets: by its primary key, else by whose it is; empty when nothing tells rows apart."""
        known = self.rows.columns.get(table.id, ())
        key: tuple[str, ...] = next((k for k in table.unique_keys if {*k} <= {*known}), ()) or self.owned(table)
        return " AND ".join(f"{quote(c)} = {self.text(table.id, number, c)}" for c in key)

    def values(self, table: Table, number: int, columns: Collection[str], other: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Names and values of a row to insert, for the columns that may be written."""
        told = {c: (other or {}).get(c) or self.text(table.id, number, c) for c in self.rows.columns.get(table.id, ()) if c in columns}
        return ", ".join(map(quote, told)), ", ".join(told.values())

    def line(self, table: Table, number: int, columns: Collection[str]) -> tuple[str, str]:
        """Names and one line of COPY data of a row."""
        told = {c: self.rows.value(table.id, number, c) for c in self.rows.columns.get(table.id, ()) if c in columns}
        return ", ".join(map(quote, told)), "\t".join("\\N" if v is None else _copied(v) for v in told.values()) + "\n"


def called(catalog: Catalog, texts: Iterable[str]) -> list[Function]:
    """The project's functions that expressions call, and those that these call."""
    found: dict[ObjectId, Function] = {}
    waiting = [" ".join(texts)]
    while waiting:
        text = waiting.pop()
        for function in catalog.own_functions:
            if function.id not in found and re.search(rf"(?<!\w){re.escape(function.name)}\"?\s*\(", text):
                found[function.id] = function
                waiting.append(function.body)
    return list(found.values())


def _fits(value: str, kind: DataType) -> bool:
    """Whether a text may be a value of the type of tenants."""
    if kind.basic == "uuid":
        return re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", value) is not None
    if kind.basic in ("int2", "int4", "int8", "numeric"):
        return re.fullmatch(r"-?\d{1,9}", value) is not None
    return kind.basic in ("text", "varchar", "bpchar", "citext") and re.fullmatch(r"[\w-]+", value) is not None


def _copied(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _relation(at: ObjectId) -> ObjectId:
    return ObjectId("table", at.schema, at.name) if at.kind in ("table", "view", "materialized view", "column", "rule") else at


def natural(table: Table, columns: Collection[str], guards: Guards) -> bool:
    """Whether a key is made of values that people choose or can guess: no uuid in it, and more than what counts by itself or refers."""
    if any(table.column[c].type.basic in ("uuid", "bytea") for c in columns):
        return False
    keys = {c for k in table.foreign_keys for c in k.columns}
    for name in columns:
        column = table.column[name]
        counted = bool(column.identity) or "nextval(" in column.default
        if not counted and name not in keys and not guards.kind(table.id, name):
            return True
    return False


def guessable(key: Constraint, parent: Table) -> bool:
    """Whether the rows that a foreign key leads to can be guessed: their key is no uuid."""
    return any(parent.column[c].type.basic != "uuid" for c in key.referenced_columns if c in parent.column)


def is_callable(function: Function) -> bool:
    """Whether a statement can call it."""
    return function.kind in ("function", "procedure", "window function") and function.returns not in ("trigger", "event_trigger")


def named_in(body: str, relations: Collection[Table | View]) -> list[Table | View]:
    """Relations whose names a body mentions without a schema."""
    words = set(re.findall(r'(?<![\w."])(?:"((?:[^"]|"")+)"|(\w+))(?!\s*[.(])', body))
    bare = {a or b.lower() for a, b in words}
    return [r for r in relations if r.name in bare]
