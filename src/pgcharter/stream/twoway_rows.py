"""Changes of tables that are copied both ways as rows: columns as PostgreSQL writes them, with their time and what they were made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from pgcharter.db import Connection
from pgcharter.errors import ConnectError
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.mapping import SQL
from pgcharter.stream.model import Change, Field, Relation, Row, Shape, Value
from pgcharter.stream.source import sql_of

ACKS, VERDICTS = "pgcharter_copies.acks", "pgcharter_copies.verdicts"
"""Tables of the deciding side that tell the other one what was decided."""


class Told(Row):
    """A row with what only copies both ways ask for."""

    time: int = 0
    """When it was committed, microseconds since 1970; 0 of a row that was there before."""
    old: Mapping[str, Any] | None = None
    """The whole row that was changed or deleted; None where it is not known, and of an insert."""


class WholeRows:
    """The tables as they are (stream.mapper.Mapper), fields by name, since the order of columns is each side's own.

    `source` connects to where they come from, for their primary keys.
    """

    def __init__(self, tables: Sequence[str], source: Callable[[], Connection]) -> None:
        self.tables = tuple(tables)
        self._source = source
        self._shapes: dict[int, Shape] = {}

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of all relations seen so far."""
        return tuple(self._shapes.values())

    def relation(self, relation: Relation) -> bool:
        """Note what a table looks like; give back whether that is new. Raises SinkRefusedError where its rows cannot be told apart."""
        if {sql_of(relation), f"{relation.schema}.{relation.name}"}.isdisjoint(self.tables):
            return False
        key = self._key(relation)
        fields = tuple(Field(c.name, c.type, c.name in key) for c in sorted(relation.columns, key=lambda c: c.name))
        shape = Shape(relation.name, fields, sql_of(relation))
        if self._shapes.get(relation.oid) == shape:
            return False
        self._shapes[relation.oid] = shape
        return True

    def _key(self, relation: Relation) -> set[str]:
        try:
            with self._source() as conn:
                key = {name for (name,) in conn.execute(SQL["primary_key"].encode(), (relation.oid,))}
        except (ConnectError, psycopg.OperationalError) as error:
            raise SinkDownError(f"the primary key of {sql_of(relation)} cannot be asked for: {error}") from None
        if not key or relation.identity not in ("default", "full"):
            to = sql_of(relation)
            raise SinkRefusedError(
                f"{to} has no primary key, or an index for its replica identity, so rows of both sides cannot be told to be the same",
                hint=f"ALTER TABLE {to} ADD PRIMARY KEY (…)" if not key else f"ALTER TABLE {to} REPLICA IDENTITY FULL",
            )
        return key

    def whole(self, relation: Relation) -> bool:  # noqa: ARG002
        """Changes must come with all values."""
        return True

    def asks(self, relation: Relation) -> bool:  # noqa: ARG002
        """The source is not asked."""
        return False

    def rows(self, changes: Sequence[Change]) -> list[Row]:
        """Rows of changes, in order."""
        found: list[Row] = []
        for change in changes:
            shape = self._shapes.get(change.relation.oid)
            if shape is not None:
                found += _rows(shape, change)
        return found

    def close(self) -> None:
        """Nothing is held."""


def _rows(shape: Shape, change: Change) -> list[Row]:
    names = [c.name for c in change.relation.columns]
    if change.op == "truncate":
        return [_told(change, shape, "clear", (), {}, None)]
    old = dict(zip(names, change.old, strict=True)) if change.old is not None else None
    known = old if change.relation.identity == "full" else None
    if change.new is None:
        return [_told(change, shape, "delete", _of(shape, old or {}), {}, known)]
    new = dict(zip(names, change.new, strict=True))
    key = _of(shape, new)
    if old is None or (before := _of(shape, old)) == key:
        return [_told(change, shape, "put", key, new, known)]
    return [_told(change, shape, "delete", before, {}, known), _told(change, shape, "put", key, new, None)]


def _of(shape: Shape, values: Mapping[str, Value]) -> tuple[Any, ...]:
    return tuple(values[k] for k in shape.key)


def _told(change: Change, shape: Shape, op: Any, key: tuple[Any, ...], values: Mapping[str, Any], old: Mapping[str, Any] | None) -> Told:
    made = Told(shape, op, key, values, change.stamp)
    made.time = change.time if change.stamp.ordinal else 0
    made.old = old
    return made
