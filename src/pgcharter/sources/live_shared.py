"""What reading every kind of object needs: names of roles and schemas, comments, extension members, privileges and data types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import psycopg
from psycopg import Cursor
from psycopg.rows import TupleRow, tuple_row
from psycopg.types import TypeInfo

from pgcharter.catalog.model import Acl, DataType, Grant
from pgcharter.db import Connection
from pgcharter.db.queries import query
from pgcharter.names import ObjectId

PG_TYPE, PG_PROC, PG_CLASS, PG_ATTRDEF, PG_CONSTRAINT, PG_REWRITE, PG_TRIGGER, PG_POLICY = 1247, 1255, 1259, 2604, 2606, 2618, 2620, 3256
PG_NAMESPACE, PG_EXTENSION, PG_EVENT_TRIGGER, PG_PUBLICATION, PG_SUBSCRIPTION = 2615, 3079, 3466, 6104, 6100
PG_STATISTIC_EXT, PG_FOREIGN_SERVER, PG_COLLATION = 3381, 1417, 3456

ENABLED = {"O": "origin", "D": "disabled", "R": "replica", "A": "always"}

_PRIVILEGES = {
    "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "D": "TRUNCATE", "x": "REFERENCES", "t": "TRIGGER", "m": "MAINTAIN",
    "X": "EXECUTE", "U": "USAGE", "C": "CREATE", "c": "CONNECT", "T": "TEMPORARY", "s": "SET", "A": "ALTER SYSTEM",
}  # fmt: skip
_ACL_ITEM = re.compile(r'(?P<grantee>"(?:[^"]|"")*"|[^=]*)=(?P<rights>[a-zA-Z*]*)/(?P<grantor>"(?:[^"]|"")*"|.*)\Z', re.DOTALL)
_TYPE_KINDS = {"b": "base", "e": "enum", "d": "domain", "c": "composite", "r": "range", "m": "multirange", "p": "pseudo"}
_LENGTHS = {"varchar": 4, "bpchar": 4, "bit": 0, "varbit": 0}
_TIMES = frozenset(("time", "timetz", "timestamp", "timestamptz"))


@lru_cache(maxsize=4096)
def _grants(items: tuple[str, ...]) -> tuple[Grant, ...]:
    found: list[Grant] = []
    for item in items:
        parts = _ACL_ITEM.match(item)
        if parts is None:
            continue
        grantee, grantor = _bare(parts["grantee"]), _bare(parts["grantor"])
        for letter, star in re.findall(r"([a-zA-Z])(\*?)", parts["rights"]):
            found.append(Grant(grantee, _PRIVILEGES.get(letter, letter), bool(star), grantor))
    return tuple(sorted(found))


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def word(words: Mapping[str, str], letter: str) -> str:
    """What a catalog's one-letter code means; the letter itself when a newer server has one we do not know."""
    return words.get(letter, letter)


def acl(items: list[str] | None) -> Acl:
    """Grants of an `aclitem[]`; None stays None, which is PostgreSQL's built-in default."""
    return None if items is None else _grants(tuple(items))


def options(items: list[str] | None) -> tuple[str, ...]:
    """Storage or column options in stable order, without the hidden `pg_attver` that some minor versions write on every column."""
    return tuple(sorted(o for o in items if not o.startswith("pg_attver="))) if items else ()


@dataclass
class Shared:
    """One reading in progress. Everything it holds is read once, by a fixed number of queries."""

    conn: Connection
    major: int
    vanished: list[str] = field(default_factory=list)
    """What PostgreSQL would not define any more although the snapshot still has it."""
    addresses: dict[tuple[int, int], ObjectId] = field(default_factory=dict)
    """(catalog, oid) → address of what was read, for dependencies and security labels."""
    column_names: dict[int, dict[int, str]] = field(default_factory=dict)
    """oid of a relation → column names by number."""
    _failure: psycopg.Error | None = None
    """What went wrong first; everything asked after it only fails because of it."""
    _ahead: dict[tuple[str, str], Future[list[TupleRow]]] = field(default_factory=dict)

    @cached_property
    def _cursor(self) -> Cursor[TupleRow]:
        """Our own cursor: tuples whatever the connection's row factory, and `aclitem[]` as text without a cast."""
        cursor = self.conn.cursor(row_factory=tuple_row)
        TypeInfo("aclitem", 1033, 1034).register(cursor)
        return cursor

    def rows(self, file: str, name: str) -> list[TupleRow]:
        """The answer to a named query of `sources/<file>.sql`, each asked at most once."""
        ahead = self._ahead.pop((file, name), None)
        return ahead.result() if ahead else self._ask(file, name)

    def _ask(self, file: str, name: str) -> list[TupleRow]:
        try:
            return self._cursor.execute(query("pgcharter.sources", f"{file}.sql", name, self.major)).fetchall()
        except psycopg.Error as error:
            self._failure = self._failure or error
            raise self._failure from None

    @contextmanager
    def ahead(self, wanted: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Ask these queries, in order, in a second thread: the server works on the next ones while answers are made into objects."""
        with ThreadPoolExecutor(1, "pgcharter-reader") as thread:
            self._ahead = {key: thread.submit(self._ask, *key) for key in wanted}
            try:
                yield
            except KeyboardInterrupt:
                self.conn.cancel_safe()
                raise
            finally:
                for future in self._ahead.values():
                    future.cancel()
                self._ahead = {}

    @cached_property
    def roles(self) -> Mapping[int, str]:
        """Role names by oid."""
        return dict(self.rows("live_objects", "role_names"))

    @cached_property
    def schemas(self) -> list[TupleRow]:
        """oid, name, owner and privileges of the user's schemas."""
        return self.rows("live_objects", "schemas")

    @cached_property
    def schema(self) -> Mapping[int, str]:
        """Names of the user's schemas by oid."""
        return {row[0]: row[1] for row in self.schemas}

    @cached_property
    def comments(self) -> Mapping[tuple[int, int, int], str]:
        """Comments by catalog, oid and column number."""
        return {(a, b, c): text for a, b, c, text in self.rows("live_objects", "comments")}

    @cached_property
    def members(self) -> Mapping[tuple[int, int], str]:
        """Extension names by catalog and oid of their members."""
        return {(a, b): name for a, b, name in self.rows("live_objects", "extension_members")}

    @cached_property
    def collation_rows(self) -> list[TupleRow]:
        """All collations, PostgreSQL's own included."""
        return self.rows("live_objects", "collations")

    @cached_property
    def collations(self) -> Mapping[int, str]:
        """Quoted, qualified collation names by oid."""
        return {row[0]: qualified(row[1], row[2]) for row in self.collation_rows}

    @cached_property
    def types(self) -> Mapping[tuple[int, int], DataType]:
        """Every type in use by oid and modifier."""
        rows = self.rows("live_relations", "data_types")
        domains = {row[7]: (row[8], row[9]) for row in rows if row[5] == "d"}
        names = {row[0]: row[4] if not row[6] else "_" + row[4] for row in rows}
        return {(row[0], row[1]): _data_type(row, domains, names) for row in rows}

    def owner(self, oid: int) -> str:
        """Name of a role; empty when it is gone."""
        return self.roles.get(oid, "")

    def about(self, catalog: int, oid: int) -> dict[str, Any]:
        """Comment and extension of an object, as keyword arguments."""
        return {"comment": self.comments.get((catalog, oid, 0), ""), "extension": self.members.get((catalog, oid), "")}

    def defined(self, text: str | None, address: ObjectId, extension: str = "") -> str:
        """A definition as PostgreSQL wrote it; None means that the object is gone by now (those of extensions are not asked for)."""
        if text is None and not extension:
            self.vanished.append(str(address))
        return text or ""

    def comment(self, catalog: int, oid: int) -> str:
        """Comment on an object."""
        return self.comments.get((catalog, oid, 0), "")


def qualified(schema: str, name: str) -> str:
    """A dotted name as PostgreSQL would deparse it."""
    from pgcharter.names import quote

    return f"{quote(schema)}.{quote(name)}"


def _data_type(row: TupleRow, domains: Mapping[int, tuple[int, int]], names: Mapping[int, str]) -> DataType:
    _, modifier, sql, schema, name, kind, array, element, *_ = row
    base = ""
    while element in domains:
        element, modifier = domains[element]
        base = names.get(element, "")
    length, precision, scale = _limits(base or name, modifier)
    return DataType(sql, schema, name, word(_TYPE_KINDS, kind), array, length, precision, scale, base)


def _limits(name: str, modifier: int) -> tuple[int | None, int | None, int | None]:
    """Decode a type modifier: length, precision, scale (`numerictypmodin` and its kin in PostgreSQL's sources)."""
    if modifier < 0:
        return None, None, None
    if name in _LENGTHS:
        return modifier - _LENGTHS[name], None, None
    if name == "numeric":
        packed = modifier - 4
        return None, (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    if name in _TIMES:
        return None, modifier, None
    if name == "interval":
        digits = modifier & 0xFFFF
        return None, None if digits == 0xFFFF else digits, None
    return None, None, None
