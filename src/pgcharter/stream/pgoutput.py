"""What the output plugin pgoutput sends, protocol versions 1 to 4, made into words (PostgreSQL documentation, "Logical Replication Message
Formats"). Rows, of which there are many, are decoded by `changes`; everything else by `decode`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from pgcharter.errors import PgcharterError
from pgcharter.stream.model import UNCHANGED, Attribute, Change, Relation, Stamp, Value

TypeName = Callable[[int, int], str]
"""Gives the name of a type from its oid and modifier, as format_type writes it."""

EPOCH: Final = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where PostgreSQL's clock begins."""
ROWS: Final = frozenset(b"IUDT")
PLACED: Final = ord("L")
"""Not PostgreSQL's: position and time of a change, which follows as a message. Changes that triggers wrote down come so."""
_IDENTITIES: Mapping[int, Literal["default", "nothing", "full", "index"]] = {
    ord("d"): "default", ord("n"): "nothing", ord("f"): "full", ord("i"): "index",
}  # fmt: skip
_I, _N, _U, _D, _T, _O, _R = b"INUDTOR"
_TEXT, _NULL, _TOAST, _BINARY = b"tnub"
_int = struct.Struct(">I").unpack_from
_new = tuple.__new__


class Begin(NamedTuple):
    """A transaction begins; it is committed already."""

    lsn: int
    time: int
    """Of the commit, microseconds since 1970."""
    xid: int


class Commit(NamedTuple):
    """It ends. Also of one that was streamed (then with its number) or prepared (with its gid)."""

    lsn: int
    """Where the commit record stands."""
    end: int
    time: int
    xid: int = 0
    gid: str = ""


class Prepare(NamedTuple):
    """A transaction ends that was prepared, and is neither committed nor rolled back yet."""

    lsn: int
    end: int
    time: int
    xid: int
    gid: str


class BeginPrepare(NamedTuple):
    """A transaction begins that was prepared."""

    lsn: int
    end: int
    time: int
    xid: int
    gid: str


class Rollback(NamedTuple):
    """A prepared transaction was rolled back."""

    lsn: int
    end: int
    time: int
    xid: int
    gid: str


class Origin(NamedTuple):
    """The transaction came from another server by replication."""

    lsn: int
    name: str


class TypeNamed(NamedTuple):
    """The name of a type that is not built in."""

    oid: int
    schema: str
    name: str


class Message(NamedTuple):
    """A message of pg_logical_emit_message."""

    transactional: bool
    lsn: int
    prefix: str
    content: bytes


class StreamStart(NamedTuple):
    """Pieces of a transaction in progress follow."""

    xid: int
    first: bool


class StreamStop(NamedTuple):
    """The piece ends."""


class StreamAbort(NamedTuple):
    """A transaction in progress, or a part of it (`subxid`), was rolled back."""

    xid: int
    subxid: int
    lsn: int = 0
    """Only with streaming in parallel (protocol 4)."""
    time: int = 0


def _at(m: bytes, form: str, offset: int = 1) -> tuple[Any, ...]:
    return struct.unpack_from(f">{form}", m, offset)


def _text(m: bytes, at: int) -> tuple[str, int]:
    end = m.index(0, at)
    return m[at:end].decode(), end + 1


def _message(m: bytes) -> Message:
    flags, lsn = _at(m, "BQ")
    prefix, at = _text(m, 10)
    (size,) = _at(m, "I", at)
    return Message(bool(flags & 1), lsn, prefix, m[at + 4 : at + 4 + size])


def _commit(m: bytes) -> Commit:
    _, lsn, end, time = _at(m, "BQQQ")
    return Commit(lsn, end, time + EPOCH)


def _stream_commit(m: bytes) -> Commit:
    xid, _, lsn, end, time = _at(m, "IBQQQ")
    return Commit(lsn, end, time + EPOCH, xid)


def _commit_prepared(m: bytes) -> Commit:
    _, lsn, end, time, xid = _at(m, "BQQQI")
    return Commit(lsn, end, time + EPOCH, xid, _text(m, 30)[0])


def _begin(m: bytes) -> Begin:
    lsn, time, xid = _at(m, "QQI")
    return Begin(lsn, time + EPOCH, xid)


def _begin_prepare(m: bytes) -> BeginPrepare:
    lsn, end, time, xid = _at(m, "QQQI")
    return BeginPrepare(lsn, end, time + EPOCH, xid, _text(m, 29)[0])


def _prepare(m: bytes) -> Prepare:
    _, lsn, end, time, xid = _at(m, "BQQQI")
    return Prepare(lsn, end, time + EPOCH, xid, _text(m, 30)[0])


def _rollback(m: bytes) -> Rollback:
    _, lsn, end, _, time, xid = _at(m, "BQQQQI")
    return Rollback(lsn, end, time + EPOCH, xid, _text(m, 38)[0])


def _origin(m: bytes) -> Origin:
    return Origin(_at(m, "Q")[0], _text(m, 9)[0])


def _type(m: bytes) -> TypeNamed:
    schema, at = _text(m, 5)
    return TypeNamed(_at(m, "I")[0], schema, _text(m, at)[0])


def _stream_start(m: bytes) -> StreamStart:
    xid, first = _at(m, "IB")
    return StreamStart(xid, first == 1)


def _stream_abort(m: bytes) -> StreamAbort:
    if len(m) < 25:
        return StreamAbort(*_at(m, "II"))
    xid, subxid, lsn, time = _at(m, "IIQQ")
    return StreamAbort(xid, subxid, lsn, time + EPOCH)


Told = Begin | Commit | Prepare | BeginPrepare | Rollback | Origin | TypeNamed | Message | StreamStart | StreamStop | StreamAbort

_FORMS: Mapping[int, Callable[[bytes], Told]] = {
    ord("B"): _begin, ord("C"): _commit, ord("O"): _origin, ord("Y"): _type, ord("M"): _message, ord("S"): _stream_start,
    ord("E"): lambda _: StreamStop(), ord("c"): _stream_commit, ord("A"): _stream_abort, ord("b"): _begin_prepare, ord("P"): _prepare,
    ord("p"): _prepare, ord("K"): _commit_prepared, ord("r"): _rollback,
}  # fmt: skip
STREAMED: Final = frozenset(b"RYIUDTM")
"""Messages that have the number of their transaction behind the first byte while one in progress is streamed."""


def decode(m: bytes) -> Told:
    """A message that is neither a row change nor a relation. One inside a stream comes without its transaction's number (`bare`).

    Raises PgcharterError for what protocol 4 does not know, and for one that is cut off.
    """
    form = _FORMS.get(m[0])
    if form is None:
        raise PgcharterError(f"the server sent a message of kind {chr(m[0])!r}, which protocol 4 of pgoutput does not have")
    try:
        return form(m)
    except (struct.error, ValueError, UnicodeDecodeError):
        raise _damaged(m) from None


def bare(m: bytes) -> tuple[int, bytes]:
    """The (sub-)transaction of a message inside a stream, and the message without it."""
    return _int(m, 1)[0], m[:1] + m[5:]


def relation(m: bytes, type_name: TypeName) -> Relation:
    """What a Relation message says."""
    (oid,) = _int(m, 1)
    schema, at = _text(m, 5)
    name, at = _text(m, at)
    identity, count = _at(m, "BH", at)
    at += 3
    columns = []
    for _ in range(count):
        flags = m[at]
        column, at = _text(m, at + 1)
        type_oid, modifier = _at(m, "Ii", at)
        at += 8
        columns.append(Attribute(column, type_oid, type_name(type_oid, modifier), bool(flags & 1), modifier))
    return Relation(oid, schema or "pg_catalog", name, _IDENTITIES[identity], tuple(columns))


def describe(m: bytes, relations: dict[int, Relation], type_name: TypeName) -> None:
    """Note what a Relation message says; one that says what is known already changes nothing."""
    told = relation(m, type_name)
    if relations.get(told.oid) != told:
        relations[told.oid] = told


def ordinals(m: bytes) -> int:
    """How many changes a message is: a TRUNCATE is one of each table."""
    return int(_int(m, 1)[0]) if m[0] == _T else int(m[0] in ROWS)


def changes(
    messages: Sequence[bytes], relations: dict[int, Relation], lsn: int, first: int, type_name: TypeName, time: int = 0
) -> Iterator[Change]:
    """The changes of a transaction's messages, or of a piece of them; `first` is the number of the first one.

    Relation messages among them change `relations`. Raises PgcharterError for what cannot be understood.
    """
    ordinal = first
    change: tuple[Any, ...]
    for m in messages:
        kind = m[0]
        try:
            if kind == _I:
                change = (relations[_int(m, 1)[0]], "insert", _values(m, 6)[0], None, _new(Stamp, (lsn, ordinal)), time)
            elif kind == _U:
                change = (relations[_int(m, 1)[0]], "update", *_update(m), _new(Stamp, (lsn, ordinal)), time)
            elif kind == _D:
                change = (relations[_int(m, 1)[0]], "delete", None, _values(m, 6)[0], _new(Stamp, (lsn, ordinal)), time)
            elif kind == _T:
                for oid in _at(m, f"{_int(m, 1)[0]}I", 6):
                    yield Change(relations[oid], "truncate", None, None, Stamp(lsn, ordinal), time)
                    ordinal += 1
                continue
            else:
                if kind == _R:
                    describe(m, relations, type_name)
                elif kind == PLACED:
                    position, moment = _at(m, "QQ")
                    yield from changes([m[17:]], relations, position, 1, type_name, moment)
                continue
        except (struct.error, IndexError, ValueError):
            raise _damaged(m) from None
        except KeyError as missing:
            raise PgcharterError(f"the server sent a change of relation {missing}, which it has not described") from None
        yield _new(Change, change)
        ordinal += 1


def _update(m: bytes) -> tuple[tuple[Value, ...], tuple[Value, ...] | None]:
    kind = m[5]
    if kind == _N:
        return _values(m, 6)[0], None
    old, at = _values(m, 6)
    new, _ = _values(m, at + 1)
    if kind == _O and UNCHANGED in new:
        new = tuple(o if n is UNCHANGED else n for o, n in zip(old, new, strict=True))
    return new, old


def _values(m: bytes, at: int) -> tuple[tuple[Value, ...], int]:
    count = m[at] << 8 | m[at + 1]
    at += 2
    found: list[Value] = []
    add = found.append
    for _ in range(count):
        kind = m[at]
        if kind == _TEXT:
            start = at + 5
            at = start + _int(m, at + 1)[0]
            add(m[start:at].decode())
        elif kind == _NULL:
            add(None)
            at += 1
        elif kind == _TOAST:
            add(UNCHANGED)
            at += 1
        elif kind == _BINARY:
            start = at + 5
            at = start + _int(m, at + 1)[0]
            add(m[start:at])
        else:
            raise ValueError(kind)
    if at > len(m):
        raise IndexError(at)
    return tuple(found), at


def _damaged(m: bytes) -> PgcharterError:
    return PgcharterError(
        f"the server sent a message of kind {chr(m[0])!r} with {len(m)} bytes, which cannot be read as pgoutput writes it"
    )
