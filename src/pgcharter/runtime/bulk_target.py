"""Where bulk rows go: the columns of a table, their types, and what of it lets COPY in, asked of the catalog in one query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import psycopg

from pgcharter.db.queries import query
from pgcharter.errors import RefusedError, UsageError
from pgcharter.names import ObjectId, quote
from pgcharter.runtime.colours import Steps

Overriding = Literal["system", "user"] | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a load sees it."""

    name: str
    type: str
    """As in SQL, with its modifier."""
    base: int
    """Oid of its type, of a domain that of what it is made from."""
    kind: str
    """pg_type.typtype of the base."""
    receive: str
    """The function that reads the base's binary form."""
    generated: bool
    identity: str
    collation: str | None
    """Where it is not the type's own."""


@dataclass(frozen=True, slots=True)
class Key:
    """A unique index that can be an arbiter."""

    name: str | None
    """Of its constraint."""
    primary: bool
    alike: bool
    """NULLS NOT DISTINCT."""
    columns: tuple[str | None, ...]
    """None: an expression."""


@dataclass(frozen=True, slots=True)
class Target:
    """A table, view or foreign table that takes rows."""

    id: ObjectId
    kind: str
    """pg_class.relkind."""
    secured: bool
    """Whether row policies hold for who asks: COPY is refused then."""
    copies: bool
    """Whether COPY can write to it at all."""
    later: bool
    """Whether something is checked when the statement ends, of which PostgreSQL does not say which row it was."""
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]

    @property
    def staged(self) -> bool:
        """Whether rows must come in by a temporary table."""
        return self.secured or not self.copies

    def taken(self, names: Sequence[str] | None, overriding: Overriding) -> tuple[Column, ...]:
        """The columns of these names; without names those that rows by position fill. Raises UsageError for what cannot be given."""
        if names is None:
            return tuple(c for c in self.columns if not c.generated and (c.identity != "a" or overriding == "system"))
        known = {c.name: c for c in self.columns}
        unknown = [n for n in names if n not in known]
        if unknown or len(set(names)) != len(names):
            what = f"has no column {quote(unknown[0])}" if unknown else "is given a column twice"
            raise UsageError(f"{self.id} {what}", hint=f"it has {', '.join(quote(n) for n in known)}"[:400])
        found = tuple(known[n] for n in names)
        for column in found:
            self._refuse(column, overriding)
        return found

    def _refuse(self, column: Column, overriding: Overriding) -> None:
        if column.generated:
            raise UsageError(f"column {quote(column.name)} of {self.id} is generated, so no value can be given for it", hint="leave it out")
        if column.identity == "a" and overriding is None:
            raise UsageError(
                f"column {quote(column.name)} of {self.id} is GENERATED ALWAYS AS IDENTITY, so values given for it have to be chosen",
                hint='overriding="system" stores them, overriding="user" lets PostgreSQL count',
            )

    def arbiters(self, on: Iterable[str]) -> list[Key]:
        """The unique indexes over just these columns."""
        wanted = set(on)
        return [k for k in self.keys if set(k.columns) == wanted]


def named(table: Any) -> str:
    """The text of a table's name as SQL reads it: a str as it is, an ObjectId, a Table of SQLAlchemy or a class mapped to one."""
    if isinstance(table, str):
        return table
    if isinstance(table, ObjectId):
        return table.sql()
    found = getattr(table, "__table__", table)
    name, schema = getattr(found, "name", None), getattr(found, "schema", None)
    if not isinstance(name, str):
        raise UsageError(f"{type(table).__qualname__} is no table", hint="give its name as SQL writes it, a Table or a mapped class")
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)


def asked(cursor: Any, table: Any) -> Steps[Target]:
    """What the catalog says of a table. Raises UsageError where there is none, or where it takes no rows."""
    name = named(table)
    sql = query("pgcharter.runtime", "bulk_target.sql", "target", cursor.connection.info.server_version // 10000)
    try:
        yield partial(cursor.execute, sql.encode(), {"table": name})
    except (psycopg.errors.InvalidName, psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported):
        raise UsageError(f"{name!r} is no name of a table", hint='write schema.table, and "…" around names that need it') from None
    rows = yield cursor.fetchall
    if not rows:
        raise UsageError(f"there is no table {name}, or none that the search_path leads to", hint="write schema.table")
    schema, table, kind, secured, copies, insertable, later, columns, keys = rows[0]
    at = ObjectId({"v": "view", "f": "foreign table"}.get(kind, "table"), schema, table)
    if kind not in "rpfv" or not (copies or insertable):
        raise RefusedError(f"{at} takes no rows: it is not a table, nor a view that can be inserted into", hint="INSTEAD OF INSERT trigger")
    made = tuple(Key(k["name"], k["primary"], k["alike"], tuple(k["columns"])) for k in keys)
    return Target(at, kind, secured, copies, later, tuple(Column(**c) for c in columns), made)
