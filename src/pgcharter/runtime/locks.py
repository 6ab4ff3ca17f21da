"""Locks by name and on rows, so that transactions wait for each other instead of failing or deadlocking.

    lock(conn, ("invoice", 42))                              # until the transaction ends; await lock.aio(conn, …)
    if try_lock(conn, "nightly", wait=2): …
    lock_rows(conn, "app.accounts", [7, 3], returning=["balance"])   # always in key order, so two of these cannot deadlock
    claim_rows(conn, "app.jobs", order=["run_at"], limit=10, where="state = 'waiting'", returning=["id", "payload"])

A name becomes one key of 64 bits, the start of its SHA-256. (PostgreSQL's other form, two keys of 32 bits, would keep namespaces apart and
have equal names in one of 77,000 by even odds; here a million names meet with odds of 1 to 37 million, and then wait for each other without
need.) Advisory locks belong to a database; where tenants are to have locks of their own, the name says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

import psycopg

from pgcharter.db.flows import Batch, Query, Row, Steps, flow
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import address, quote

Part = str | int | uuid.UUID
Name = Part | tuple[Part, ...]
Mode = Literal["update", "no key update", "share", "key share"]
_MODES = ("update", "no key update", "share", "key share")
_SAVEPOINT = "pgcharter_lock"


class LockedError(PgcharterError):
    """Somebody else holds a lock."""


class RowsMissingError(PgcharterError):
    """Rows that were to be locked are not there, or not visible."""

    def __init__(self, table: str, keys: tuple[Any, ...]) -> None:
        some = ", ".join(map(repr, keys[:5])) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        super().__init__(f"{table} has no row {some}, so it cannot be locked", hint="missing_ok=True leaves out what is not there")
        self.keys = keys


def key_of(name: Name) -> int:
    """The key of a lock: the same for the same name everywhere and for ever. Raises UsageError for what is no name."""
    parts = name if isinstance(name, tuple) else (name,)
    if not parts or any(isinstance(p, bool) or not isinstance(p, str | int | uuid.UUID) or p == "" for p in parts):
        raise UsageError(f"{name!r} names no lock: it is a text, a whole number or a UUID, or a tuple of such, none of them empty")
    texts = [str(p).encode("utf-8", "surrogatepass") for p in parts]
    plain = b"".join(b"%d:%b" % (len(t), t) for t in texts)
    return int.from_bytes(sha256(b"pgcharter lock " + plain).digest()[:8], "big", signed=True)


def milliseconds(wait: float) -> str:
    """Seconds as lock_timeout takes them, 1 ms at least: 0 would be for ever. Raises UsageError for what is no time."""
    if not 0 <= wait <= 2_000_000:
        raise UsageError(f"wait is {wait}, and must be from 0 to 2,000,000 seconds")
    return f"{max(1, round(wait * 1000))}ms"


def within(query: Query, wait: float | None) -> Steps[list[Row]]:
    """A step that waits for locks so many seconds at most, 0 being as good as none; None: as the transaction is set.

    Raises psycopg.errors.LockNotAvailable. What lock_timeout was is what it is afterwards.
    """
    if wait is None:
        rows = yield query
        return list(rows)
    setting = Query("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (milliseconds(wait),))
    ((before,),), _, rows = yield Batch((Query("SELECT pg_catalog.current_setting('lock_timeout')"), setting, query))
    yield Query("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (before,))
    return list(rows)


@flow
def lock(*names: Name, shared: bool = False, wait: float | None = None) -> Steps[None]:
    """Hold locks of these names until the transaction ends, taken in one order whatever order they are given in.

    Waits for who holds them, `wait` seconds or as long as lock_timeout says; then raises LockedError, and the transaction has failed.
    """
    try:
        yield from within(_locking(names, shared=shared), wait)
    except psycopg.errors.LockNotAvailable:
        raise _held(names) from None


@flow
def try_lock(*names: Name, shared: bool = False, wait: float = 0) -> Steps[bool]:
    """Whether all of these locks could be had within so many seconds; else none is held, and the transaction goes on."""
    yield Query(f"SAVEPOINT {_SAVEPOINT}")
    if wait:
        try:
            yield from within(_locking(names, shared=shared), wait)
            had = True
        except psycopg.errors.LockNotAvailable:
            had = False
    else:
        had = all(row[0] for row in (yield _locking(names, shared=shared, trying=True)))
    back = () if had else (Query(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}"),)
    yield Batch((*back, Query(f"RELEASE SAVEPOINT {_SAVEPOINT}")))
    return had


def _locking(names: Iterable[Name], *, shared: bool, trying: bool = False) -> Query:
    keys = sorted({key_of(n) for n in names})
    if not keys:
        raise UsageError("no lock is named")
    function = f"pg_{'try_' * trying}advisory_xact_lock{'_shared' * shared}"
    return Query(f"SELECT pg_catalog.{function}(k) FROM pg_catalog.unnest(%s::bigint[]) k", (keys,))


def _held(names: Iterable[Name]) -> LockedError:
    return LockedError(f"lock {', '.join(map(str, names))} is held by somebody else, and was not given up in time")


@flow
def lock_rows(
    table: Any,
    keys: Sequence[Any],
    *,
    key: str | Sequence[str] = (),
    mode: Mode = "no key update",
    returning: Sequence[str] = (),
    missing_ok: bool = False,
    wait: float | None = None,
) -> Steps[dict[Any, dict[str, Any]]]:
    """Lock the rows with these keys in key order; what they hold now by key, as far as `returning` asks for it.

    `table` is schema.name, or a model or Table of SQLAlchemy; `key` its key where that is not the model's primary key or `id`; keys of
    several columns are tuples. The lock holds off writers until the transaction ends; `update` is for rows whose key is changed or that
    are deleted, since it also holds off whoever refers to them. Objects that a Session had read before are as they were: refresh them.
    Raises RowsMissingError, and LockedError after `wait` seconds, when the transaction has failed.
    """
    at, own = _table(table)
    columns = (key,) if isinstance(key, str) else tuple(key) or own
    if mode not in _MODES:
        raise UsageError(f"there is no row lock {mode!r}", hint=", ".join(_MODES))
    given = tuple(dict.fromkeys(_key(k, columns) for k in keys))
    if not given:
        return {}
    try:
        rows = yield from within(_in_order(at, columns, given, mode, returning), wait)
    except psycopg.errors.LockNotAvailable:
        raise LockedError(f"rows of {at} are locked by somebody else, and were not given up in time") from None
    n = len(columns)
    found = {_bare(row[:n]): dict(zip(returning, row[n:], strict=True)) for row in rows}
    missing = () if len(found) == len(given) else tuple(_bare(k) for k in given if _bare(k) not in found)
    if missing and not missing_ok:
        raise RowsMissingError(at, missing)
    return found


def _in_order(at: str, columns: tuple[str, ...], keys: Sequence[tuple[Any, ...]], mode: str, returning: Sequence[str]) -> Query:
    """In PostgreSQL's plans LockRows stands above the sort, so rows are locked in this order (documentation, SELECT, "Locking Clause")."""
    on = ", ".join(map(_escaped, columns))
    if len(columns) == 1:
        where, values = f"{on} = ANY (%s)", [[k for (k,) in keys]]
    else:
        one = "(" + ", ".join(["%s"] * len(columns)) + ")"
        where, values = f"({on}) IN ({', '.join([one] * len(keys))})", [v for k in keys for v in k]
    shown = ", ".join(map(_escaped, (*columns, *returning)))
    return Query(f"SELECT {shown} FROM {at} WHERE {where} ORDER BY {on} FOR {mode.upper()}", values)


@flow
def claim_rows(
    table: Any,
    *,
    limit: int,
    order: Sequence[str] = (),
    where: str = "",
    parameters: Mapping[str, Any] | None = None,
    returning: Sequence[str] = (),
    mode: Mode = "update",
) -> Steps[list[dict[str, Any]]]:
    """Rows that nobody else has, locked until the transaction ends: the first `limit` by `order`, those others hold passed over.

    For queues: each of many workers gets other rows, and none waits. `order` names columns, with `-` before one for the largest first;
    `where` is SQL of your own, values in it written %(name)s and given in `parameters`, a % of its own %%. A worker that dies gives its
    rows back by that.
    An index on the columns of `order`, with `where` as its predicate, keeps the claim as quick as the queue is long.
    """
    at, own = _table(table)
    if limit < 1 or mode not in _MODES:
        raise UsageError(f"limit is {limit} and mode {mode!r}: at least 1 row, and one of {', '.join(_MODES)}")
    names = tuple(returning) or own
    by = ", ".join(f"{_escaped(c.removeprefix('-'))}{' DESC' if c.startswith('-') else ''}" for c in order)
    sql = f"SELECT {', '.join(map(_escaped, names))} FROM {at}" + (f" WHERE {where}" if where else "") + (f" ORDER BY {by}" if by else "")
    values = {**(parameters or {}), "pgcharter_limit": limit}
    rows = yield Query(f"{sql} LIMIT %(pgcharter_limit)s FOR {mode.upper()} SKIP LOCKED", values)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _table(table: Any) -> tuple[str, tuple[str, ...]]:
    """A table as SQL, and its key: schema.name, a model or a Table of SQLAlchemy."""
    if isinstance(table, str):
        try:
            return address(f"table {table}").sql().replace("%", "%%"), ("id",)
        except ValueError:
            raise UsageError(f"{table!r} names no table", hint='write schema.name: "app.orders"') from None
    found = getattr(table, "__table__", table)
    if not hasattr(found, "primary_key") or not hasattr(found, "name"):
        raise UsageError(f"{table!r} is no table: a text schema.name, or a model or Table of SQLAlchemy")
    name = ".".join(quote(n) for n in (found.schema, found.name) if n)
    return name.replace("%", "%%"), tuple(c.name for c in found.primary_key.columns) or ("id",)


def _escaped(name: str) -> str:
    return quote(name).replace("%", "%%")


def _key(given: Any, columns: tuple[str, ...]) -> tuple[Any, ...]:
    found = given if isinstance(given, tuple) else (given,)
    if len(found) != len(columns):
        raise UsageError(f"the key {given!r} has {len(found)} values, and {', '.join(columns)} needs {len(columns)}")
    return found


def _bare(key: tuple[Any, ...]) -> Any:
    return key[0] if len(key) == 1 else key
