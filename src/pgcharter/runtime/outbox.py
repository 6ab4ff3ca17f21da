"""Messages to others, published in the transaction that does the work: they are delivered if and only if it is committed.

    def place(work):
        order = …
        publish(work.conn, "orders.placed", {"order": order}, key=order)

    await publish.aio(work.conn, "orders.placed", {"order": order}, key=order)

Relays (`runtime.outbox_relay`) deliver them at least once, in the order of each key. `[messaging]` of the charter makes the tables.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import UnavailableError, UsageError
from pgcharter.policy.messaging_settings import LARGEST
from pgcharter.runtime.feeds_model import Log
from pgcharter.runtime.feeds_wake import Waker
from pgcharter.runtime.models_uuid import uuid7
from pgcharter.runtime.outbox_codec import encode
from pgcharter.runtime.work import current_work

Key = str | int | uuid.UUID
_TOPIC = re.compile(r"[^\s\x00-\x1f\x7f]{1,255}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_TEXT = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]{0,4000}")
_PUBLISH = (
    "SELECT pgcharter.outbox_publish(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::uuid[], %s::float8[], %s::float8[])"
)
_wakers: dict[Any, Waker] = {}


class Message(NamedTuple):
    """A message on its way out."""

    position: int
    """Its place in the order of publishing."""
    id: uuid.UUID
    """The same in every delivery: whoever gets it can tell a repetition by it."""
    topic: str
    key: str | None
    """Messages of one key come in the order they were published in; None: in any."""
    text: str | None
    """The payload as JSON; None: it is `data`."""
    data: bytes | None
    headers: Mapping[str, str] | None
    tenant: str
    """Tenant of the transaction that published it; empty: it had none."""
    actor: str | None
    correlation: str | None
    created_at: datetime
    due_in: float | None = None
    """Seconds until it may be delivered, as of when it was read; not above 0: it may."""
    expired: bool = False

    @property
    def payload(self) -> Any:
        """The payload again: values of JSON, or bytes."""
        return self.data if self.text is None else json.loads(self.text)

    @property
    def body(self) -> bytes:
        """The payload as bytes, as it goes over a wire."""
        return bytes(self.data or b"") if self.text is None else self.text.encode()


_NOW = "pg_catalog.clock_timestamp()"
LOG: Log[Message] = Log(
    "outbox",
    "pgcharter.outbox",
    "COALESCE(l.key, '#' || l.position)",
    (
        "l.position", "l.message_id", "l.topic", "l.key", "l.payload", "l.data", "l.headers", "l.tenant", "l.actor", "l.correlation",
        "l.created_at", f"(extract(epoch FROM l.due_at - {_NOW}))::float8", f"COALESCE(l.expires_at <= {_NOW}, false)",
    ),
    Message,
)  # fmt: skip
"""The outbox as a log that feeds read. A message without a key has one of its own."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is to be published; see `publish` for its parts."""

    topic: str
    payload: Any
    key: Key | None = None
    headers: Mapping[str, str] | None = None
    message_id: uuid.UUID | None = None
    deliver_after: float | timedelta | None = None
    expires_after: float | timedelta | None = None


@flow
def publish(
    topic: str,
    payload: Any,
    *,
    key: Key | None = None,
    headers: Mapping[str, str] | None = None,
    message_id: uuid.UUID | None = None,
    deliver_after: float | timedelta | None = None,
    expires_after: float | timedelta | None = None,
) -> Steps[uuid.UUID]:
    """Publish a message in this transaction; its id, a new one where none is given.

    `payload`: bytes, or what JSON can say (UUIDs, times, Decimals, enums, dataclasses and pydantic models become their plain forms).
    `key`: messages of one key are delivered in the order of their publishing. `deliver_after`: seconds before which it is not delivered;
    later ones of its key wait with it. `expires_after`: seconds after which it is not delivered any more. Tenant, actor and correlation
    are the transaction's. Two messages with one `message_id` are both delivered: it is for whoever gets them to tell repetitions by.
    Raises UsageError for what is no message, or larger than `message_bytes` of `[messaging]` (16 MB); UnavailableError where the outbox is
    missing or this role may not publish.
    """
    made = Outgoing(topic, payload, key, headers, message_id, deliver_after, expires_after)
    return (yield from _published([made]))[0]


@flow
def publish_many(messages: Iterable[Outgoing]) -> Steps[list[uuid.UUID]]:
    """Publish messages in this order, in one statement; their ids. Raises as `publish` does."""
    return (yield from _published(list(messages)))


def _published(messages: list[Outgoing]) -> Steps[list[uuid.UUID]]:
    if not messages:
        return []
    rows = [_row(m) for m in messages]
    try:
        yield Query(_PUBLISH, [list(column) for column in zip(*rows, strict=True)])
    except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege) as error:
        raise _unavailable(error) from error
    except psycopg.errors.ProgramLimitExceeded as error:
        raise UsageError(str(error.diag.message_primary), hint=error.diag.message_hint or "") from error
    work = current_work()
    if work is not None and (waker := _wakers.get(work.database)) is not None:
        work.after_commit(waker.poke)
    return [row[5] for row in rows]


def _row(message: Outgoing) -> tuple[Any, ...]:
    if not isinstance(message.topic, str) or not _TOPIC.fullmatch(message.topic):
        raise UsageError(f"{message.topic!r:.100} is no topic: 1 to 255 characters without blanks", hint='such as "orders.placed"')
    binary = isinstance(message.payload, bytes | bytearray | memoryview)
    text, data = (None, bytes(message.payload)) if binary else (encode(message.payload), None)
    if (size := len(text or data or b"")) > LARGEST:
        raise UsageError(
            f"a message of topic {message.topic} has {size} bytes, and no outbox takes more than {LARGEST}",
            hint="keep what is large in a table or a store of its own, and publish where it is",
        )
    return (
        message.topic, _key(message.key), text, data,
        _headers(message.headers), message.message_id or uuid7(),
        _seconds("deliver_after", message.deliver_after), _seconds("expires_after", message.expires_after),
    )  # fmt: skip


def _key(key: Key | None) -> str | None:
    if key is None:
        return None
    text = str(key) if isinstance(key, str | int | uuid.UUID) and not isinstance(key, bool) else ""
    if not 1 <= len(text.encode("utf-8", "surrogatepass")) <= 1000 or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
        raise UsageError(f"{key!r:.100} is no key: a text of 1 to 1000 bytes, a whole number or a UUID")
    return text


def _headers(headers: Mapping[str, str] | None) -> str | None:
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str) or not _NAME.fullmatch(name) or not _TEXT.fullmatch(value):
            raise UsageError(
                f"header {name!r:.100} is none: names are tokens of HTTP, values texts of one line and 4000 characters at most"
            )
    return json.dumps(dict(headers)) if headers else None


def _seconds(name: str, value: float | timedelta | None) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is not None and not 0 <= seconds <= 3.2e9:
        raise UsageError(f"{name} is {value}, and must be from 0 to 100 years, in seconds")
    return seconds


def _unavailable(error: psycopg.Error) -> UnavailableError:
    denied = isinstance(error, psycopg.errors.InsufficientPrivilege)
    what, remedy = ("may not be called by this role", 'writers = ["…"] in ') if denied else ("is not there", "")
    return UnavailableError(
        f"pgcharter.outbox_publish {what}, so no message can be published",
        hint=f"{remedy}[messaging] of pgcharter.toml, then: pgcharter policy apply",
    )


def wakes(database: Any) -> Waker:
    """From now on, publishing in a unit of work of this database wakes relays that listen, right after the commit.

    It does so on a connection of its own, many commits at a time; `close()` what this gives when the database is closed.
    """
    if database not in _wakers:
        _wakers[database] = _Registered(database, LOG.name)
    return _wakers[database]


class _Registered(Waker):
    """A waker that is forgotten when it is closed."""

    def close(self) -> None:
        """Send what is to be sent, and wake nobody any more."""
        _wakers.pop(self.database, None)
        super().close()
