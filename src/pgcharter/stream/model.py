"""The words of copying: Stamp, Relation, Change (out of PostgreSQL), Shape and Row (into a store), Sink (a store)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable


class Stamp(NamedTuple):
    """Where a change stands in the order of all changes. Of two changes of one key the later one has the greater stamp.

    The position of a change alone is no such thing: rows of one COPY share it, and a transaction that wrote early may commit late.
    """

    lsn: int
    """Position of the transaction's commit record; of a row that a snapshot gave, the position the snapshot was taken at."""
    ordinal: int
    """Number of the change in its transaction, from 1; 0 for a row of a snapshot."""


class Unchanged(Enum):
    """A value that PostgreSQL did not send because it is stored out of line and did not change. It is not NULL."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
Value = str | bytes | None | Unchanged
"""As PostgreSQL writes it: text, or bytes where binary was asked for; None is NULL."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column of a relation, as the stream describes it."""

    name: str
    type_oid: int
    type: str
    """As format_type writes it: `numeric(12,2)`, `text[]`, `app.mood`."""
    key: bool
    """Whether it is part of the replica identity."""
    modifier: int = -1


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as it was when its next changes were made. A change of its columns gives a new one of the same oid."""

    oid: int
    schema: str
    name: str
    identity: Literal["default", "nothing", "full", "index"]
    columns: tuple[Attribute, ...]


class Change(NamedTuple):
    """One row change, or a TRUNCATE of one table."""

    relation: Relation
    op: Literal["insert", "update", "delete", "truncate"]
    new: tuple[Value, ...] | None
    old: tuple[Value, ...] | None
    """What identified the row before, None in the other columns; all of them with REPLICA IDENTITY FULL; None where it is as in `new`."""
    stamp: Stamp
    time: int = 0
    """When it was committed, microseconds since 1970, by the clock of the server where that was; 0 for a row of a snapshot."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a row in a store."""

    name: str
    type: str
    """PostgreSQL's type of it, as format_type writes it."""
    key: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What rows of one mapping look like in a store."""

    to: str
    """Table, collection, prefix, subject or file there."""
    fields: tuple[Field, ...]
    source: str
    """The table it is of, schema.table as SQL."""

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the fields that tell rows apart."""
        return tuple(f.name for f in self.fields if f.key)


class Row(NamedTuple):
    """What a store is to do. A key that changes is a delete of the old one and a put of the new one."""

    shape: Shape
    op: Literal["put", "delete", "clear"]
    """clear: every row with an older stamp goes."""
    key: tuple[Any, ...]
    """Values of the key fields as `stream.values` makes them of PostgreSQL's text; empty for clear."""
    values: Mapping[str, Any]
    """All fields of a put, the key's too, as Python values; those not known are absent, and the store keeps what it has. A put that leaves
    fields out of a row that the store does not have changes nothing: a value that is not known never becomes NULL."""
    stamp: Stamp

    @property
    def whole(self) -> bool:
        """Whether every field is known."""
        return len(self.values) == len(self.shape.fields)


class Sink(Protocol):
    """A store that copies go to. One thread at a time uses it.

    Everything may be sent again, in pieces of any size: what is older than what the store has of a key (deleted ones too) changes nothing.
    Raises SinkDownError for what passes by itself, SinkRefusedError for what does not.
    """

    whole: bool
    """Rows must be whole: it cannot keep a field that a put leaves out. The worker then reads the row anew."""
    keeps: bool
    """Whether `open` gives back what `write` kept last. None or less afterwards then says that it has lost what was written to it."""

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Connect, make what is missing for these shapes, widen what has grown; give back the stamp that `write` kept last, if the store
        keeps one. Called again after a change of shape or a failure. Raises SinkRefusedError where what is there does not fit."""

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Apply rows in their order. When it returns, they are durable there, and with them `upto`, where the store keeps one.

        Everything up to that stamp has been written then. Rows may be none, and may be of a shape that `open` was not told of (a tenant's
        first): its place is made now.
        """

    def close(self) -> None:
        """Let go of it. Calling it again changes nothing."""


class Readable(Protocol):
    """A sink whose rows can be read back: what reconciliation needs."""

    ordered: bool
    """Whether `read` gives rows in the order of their keys."""

    def look(self, shapes: Sequence[Shape]) -> None:
        """Be ready to `read` rows of these shapes, and nothing else: makes nothing, and shuts no writer out. Calling `open` later is fine.

        Raises SinkRefusedError where they cannot be read, SinkDownError.
        """

    def read(self, shape: Shape, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> Iterator[Stored]:
        """Rows with keys after `after` (None: from the first) up to `upto` inclusive (None: to the last)."""


@runtime_checkable
class Shared(Protocol):
    """A Readable in which others may have put something where rows of a copy stand."""

    def foreign(self, shapes: Sequence[Shape]) -> Iterator[str]:
        """Names of what nobody copied. Asked after `read` of all rows."""


class Stored(NamedTuple):
    """A row as a store has it."""

    key: tuple[Any, ...]
    values: Mapping[str, Any]
    stamp: Stamp
