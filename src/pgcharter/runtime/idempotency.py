"""Idempotency: a request that comes again gets the first answer, and nothing is done twice.

    with conn.transaction():
        found = claim(conn, key := Key("place-order", request_id, request=body))
        if isinstance(found, Answer):
            return found.value
        order = place(conn, body)
        answer(conn, key, order)

The key is written in the transaction that does the work, so both are there or neither is: a first attempt that was rolled back leaves
nothing, and whether a transaction whose COMMIT got no answer was committed is told by its key (`settled`). The table is made by
`[idempotency]`. Keys belong to an operation, and to the tenant of the transaction where it has one.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg

from pgcharter.db import queries
from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import PgcharterError, RefusedError, UnavailableError, UsageError
from pgcharter.runtime.idempotency_codec import decode, encode
from pgcharter.runtime.locks import within

LONGEST = {"operation": 200, "key": 1000}
"""Most bytes of the texts: with a tenant of 1,000 bytes the index takes 2,704 (documentation, "B-Tree Indexes")."""
_TRIES = 10
SQL = queries.load("pgcharter.runtime", "idempotency.sql")


class OtherRequestError(RefusedError):
    """A key comes again with another request than it was first used for."""


class InProgressError(PgcharterError):
    """The first request with this key is still at work."""


class AnswerTooLargeError(PgcharterError):
    """An answer has more bytes than `[idempotency]` allows."""


@dataclass(frozen=True, slots=True)
class Key:
    """The name of a request: who asks chooses `key` once, and sends it again with every repetition. Raises UsageError for what is none."""

    operation: str
    """What is asked for: `place-order`. The same key for another operation is another request."""
    key: str | int | uuid.UUID
    request: Any = field(default=None, repr=False, hash=False)
    """What is asked, to tell a repetition from another request; only its hash is kept. None: they are not compared."""
    answers: type | None = field(default=None, hash=False)
    """Dataclass, enum or pydantic model that is answered; plain values, dates, Decimals, UUIDs need none."""
    wait: float | None = None
    """Seconds to wait for the first request where it is still at work; 0: not at all; None: as long as lock_timeout lets it."""

    def __post_init__(self) -> None:
        """Raise UsageError for what is no key."""
        object.__setattr__(self, "key", str(self.key) if isinstance(self.key, uuid.UUID) or type(self.key) is int else self.key)
        for name, most in LONGEST.items():
            _checked(name, getattr(self, name), most)
        if self.wait is not None and not 0 <= self.wait < math.inf:
            raise UsageError(f"wait is {self.wait}, and must be a number of seconds from 0 on, or None")

    @property
    def fingerprint(self) -> bytes:
        """What tells this request from others: SHA-256 of what is asked."""
        return sha256(encode(self.request, type(self.request), ordered=True).encode()).digest()

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"


def _checked(name: str, value: object, most: int) -> None:
    if not isinstance(value, str) or not value:
        raise UsageError(f"the {name} of a request is {value!r}: it must be a text that is not empty, or every request would be the same")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = 0
    if "\0" in value or not size or size > most:
        raise UsageError(f"the {name} of a request has {size} bytes, a NUL byte or half a surrogate pair: it may have {most} bytes of text")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the first request with a key was answered."""

    value: Any
    """None where it was done and nothing was answered."""
    at: datetime
    """When its transaction began."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is this transaction's: do the work, then `answer`."""

    expires_at: datetime
    """From then on the key is free again."""


@flow
def claim(key: Key) -> Steps[Claimed | Answer]:
    """Claim a key for the open transaction, or get the answer of the transaction that did the work.

    Where another one is at it, waits for its end. Raises OtherRequestError where the key was used for another request, InProgressError
    after `key.wait` (the transaction is then as failed as by any error of the server), UsageError where this transaction has claimed it
    already, UnavailableError where the table is not there. In REPEATABLE READ and SERIALIZABLE an answer that is younger than the
    transaction's snapshot is a serialization failure (40001), which the whole transaction is to be tried again for.
    """
    return (yield from _claimed(key))


def _claimed(key: Key) -> Steps[Claimed | Answer]:
    at, fingerprint = (key.operation, key.key), key.fingerprint
    try:
        for _ in range(_TRIES):
            rows = yield from within(Query(SQL["claim"], (*at, fingerprint)), key.wait)
            found = () if rows else (yield Query(SQL["found"], at))
            if found and found[0][2]:
                rows = yield from within(Query(SQL["again"], (fingerprint, *at)), key.wait)
            if rows:
                return Claimed(rows[0][0])
            if found and not found[0][2]:
                return _answered(key, fingerprint, found[0])
    except psycopg.errors.LockNotAvailable:
        raise InProgressError(
            f"request {key} came before and is still at work, and nobody knows its answer yet",
            hint="ask again with the same key in a moment",
        ) from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
        raise _unavailable(error) from error
    raise InProgressError(f"request {key} is claimed and given up again and again by others", hint="ask again with the same key")


def _answered(key: Key, fingerprint: bytes, row: tuple[Any, ...]) -> Answer:
    theirs, text, _, own, at = row
    if bytes(theirs) != fingerprint:
        raise OtherRequestError(
            f"key {key.key} of {key.operation} was used for another request before, so this one was not done",
            hint="a new request needs a new key; a repetition must be the same to the letter",
        )
    if own and text is None:
        raise UsageError(f"request {key} is claimed by this very transaction, and not answered yet", hint="one request, one claim")
    return Answer(None if text is None else decode(text, key.answers), at)


def _unavailable(error: psycopg.Error) -> UnavailableError:
    missing = isinstance(error, psycopg.errors.UndefinedTable)
    what, remedy = ("is not there", "") if missing else ("may not be used by this role", 'users = ["…"] in ')
    return UnavailableError(
        f"pgcharter.idempotency_keys {what}, so nobody could tell a repeated request",
        hint=f"{remedy}[idempotency] of pgcharter.toml, then: pgcharter policy apply",
    )


@flow
def answer(key: Key, value: Any) -> Steps[None]:
    """Keep the answer of a request that this transaction has claimed; a second answer takes the place of the first.

    Raises UsageError where it was not claimed or the value cannot be kept, AnswerTooLargeError for one of too many bytes.
    """
    text = encode(value, key.answers)
    if (yield Query(SQL["answer"], {"operation": key.operation, "key": key.key, "answer": text})):
        return
    limit = yield Query(SQL["limit"], (key.operation, key.key))
    if not limit:
        raise UsageError(f"request {key} is not claimed by this transaction, so it cannot answer it", hint="claim(conn, key) comes first")
    raise AnswerTooLargeError(
        f"the answer of request {key} has {len(text)} bytes, and {limit[0][0]} is the most",
        hint=f"answer what leads to it, such as its id; or answer_bytes = {len(text)} in [idempotency]",
    )


@flow
def settled(key: Key) -> Steps[Answer | None]:
    """What became of the transaction that claimed a key and whose COMMIT was never answered: its answer, or None where it was rolled back.

    Asked in a new transaction that may write. Where the old one is still open on the server, waits for its end. Raises as `claim` does.
    """
    yield Query("SAVEPOINT pgcharter_settled")
    found = yield from _claimed(key)
    if isinstance(found, Claimed):
        yield Query("ROLLBACK TO SAVEPOINT pgcharter_settled")
    yield Query("RELEASE SAVEPOINT pgcharter_settled")
    return found if isinstance(found, Answer) else None


@flow
def purge(limit: int = 10_000) -> Steps[int]:
    """Delete keys that have expired, the oldest first and at most so many; how many. Again and again until there are fewer than `limit`.

    As the table's owner of all tenants; as anybody else where row security holds, of the transaction's own.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}, and must be 1 or more")
    return len((yield Query(SQL["purge"], (limit,))))
