"""Changes as messages in streams of NATS JetStream, server 2.9 or newer. Body and fields: `nats_json.message`.

The subject is the mapping's `to` (`orders`, `shop.{tenant}.orders`), after `prefix`; what a subject cannot hold is written as %20. The
stream that takes a subject is used; where none does, one is made or widened, named by `stream` (else as the sink is).

**What holds.** When `write` returns, the stream has acknowledged every message, and then a key of the bucket `pgcharter_sync` has been
set to `upto`. Messages of a batch are sent in order over one connection and stored in that order. A batch that failed is sent again:
messages that are there already are dropped by their id within the stream's duplicate window (two minutes), later than that they come
again; and one that failed comes after those that did not. So a reader compares `order` of the body for each key, and takes what is greater
than it has. A stream or bucket that is gone is noticed at `open`, which then has no stamp. How long an acknowledged message survives a
power cut is the server's (`sync_interval`, replicas). Nothing can be read back by key.

Options: `stream`, `prefix`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import nats_json
from pgcharter.sinks.nats_answers import Answers, named
from pgcharter.sinks.redis_layout import stamp_of, stamp_text
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Row, Shape, Sink, Stamp

T = TypeVar("T")
_BUCKET = "pgcharter_sync"
_UNSAFE = re.compile(r"[^A-Za-z0-9_/=.-]")
_AT_ONCE = 1000
"""Messages that wait for their acknowledgement at a time."""


def make(table: SinkTable, url: str, folder: Path) -> Sink:  # noqa: ARG001
    """The sink of a table of the charter. Raises CharterError for an option that there is not."""
    import nats  # noqa: F401  (its absence is named by the registry)

    if unknown := set(table.options) - {"stream", "prefix"}:
        raise CharterError(f"sink {table.name} has the option {min(unknown)}, and NATS has prefix, stream")
    if table.form:
        raise CharterError(f"sink {table.name} has form {table.form!r}, and NATS has one form only")
    return NatsSink(url, table.name, stream=table.options.get("stream", ""), prefix=table.options.get("prefix", ""))


def subject(prefix: str, to: str) -> str:
    """The subject of a shape's messages. Raises SinkRefusedError for one that NATS cannot have."""
    made = _UNSAFE.sub(lambda c: "".join(f"%{byte:02X}" for byte in c[0].encode()), prefix + to)
    if not all(made.split(".")):
        raise SinkRefusedError(f"{to!r} gives the subject {made!r}, and no part of a subject between points may be empty")
    return made


class NatsSink:
    """A sink that passes messages on."""

    whole = False
    keeps = True

    def __init__(self, url: str, name: str, *, stream: str = "", prefix: str = "", timeout: float = 30) -> None:
        self._url, self._name, self._prefix, self._timeout = url, name, prefix, timeout
        self._stream = re.sub(r"[\s.*>/\\]", "_", stream or name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._js: Any = None
        self._inbox = ""
        self._answers: Answers
        self._bucket: Any = None
        self._upto: Stamp | None = None
        """What is kept, as far as is known."""
        self._subjects: dict[str, str] = {}

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Connect; make or widen the stream."""
        return self._run(self._open, shapes)

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Publish rows, then keep the stamp."""
        self._run(self._write, rows, upto)

    async def _open(self, shapes: Sequence[Shape]) -> Stamp | None:
        from nats.aio.client import Client

        await self._close()
        self._answers, self._client = Answers(0), Client()
        await self._client.connect(
            self._url, max_reconnect_attempts=1, reconnect_time_wait=0.1, connect_timeout=5, error_cb=_quiet, pending_size=64 << 20,
            disconnected_cb=self._disconnected,
            name=f"pgcharter {self._name}",
        )  # fmt: skip
        self._client.options["allow_reconnect"] = False
        self._js = self._client.jetstream(timeout=self._timeout)
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)
        self._subjects = {}
        made = await self._make_subjects(shape.to for shape in shapes)
        self._upto = await self._kept()
        if made and self._upto is not None:
            await self._keep(Stamp(0, 0))  # so that whoever opens it next knows too
            return None
        return self._upto

    async def _kept(self) -> Stamp | None:
        from nats.js import api, errors

        try:
            self._bucket = await self._js.key_value(_BUCKET)
        except errors.NotFoundError:
            self._bucket = await self._js.create_key_value(api.KeyValueConfig(_BUCKET, description="how far copies are", history=1))
        try:
            found = await self._bucket.get(self._key)
        except errors.KeyNotFoundError:
            return None
        return stamp_of(found.value.decode())

    @property
    def _key(self) -> str:
        return re.sub(r"[^A-Za-z0-9_-]", "_", self._name)

    async def _make_subjects(self, tos: Iterable[str]) -> bool:
        """See to streams for these; give back whether our stream was gone although a stamp may be there."""
        from nats.js import errors

        lacking = []
        for to in dict.fromkeys(tos):
            self._subjects[to] = subject(self._prefix, to)
            try:
                stream = await self._js.find_stream_name_by_subject(self._subjects[to])
            except errors.NotFoundError:
                lacking.append(self._subjects[to])
                continue
            config = (await self._js.stream_info(stream)).config
            if config.no_ack:
                raise SinkRefusedError(
                    f"stream {stream} takes {self._subjects[to]} and acknowledges nothing, so nobody would know what has arrived",
                    hint=f"nats stream edit {stream} --ack",
                )
        return bool(lacking) and await self._widened(lacking)

    async def _widened(self, lacking: list[str]) -> bool:
        """Let our stream take more subjects; make it where it is not there, and give back True then."""
        from nats.js import api, errors

        try:
            config = (await self._js.stream_info(self._stream)).config
        except errors.NotFoundError:
            await self._js.add_stream(api.StreamConfig(name=self._stream, subjects=lacking))
            return True
        config.subjects = [*(config.subjects or []), *lacking]
        await self._js.update_stream(config)
        return False

    async def _write(self, rows: Sequence[Row], upto: Stamp) -> None:
        if self._bucket is None:
            raise SinkDownError("NATS was not reached before, and must be opened anew")
        if new := {row.shape.to for row in rows} - self._subjects.keys():
            await self._make_subjects(new)
        for at in range(0, len(rows), _AT_ONCE):
            await self._published(rows[at : at + _AT_ONCE])
        if self._upto is None or upto > self._upto:  # a batch gives back what was kept when it began, and the worker was on
            await self._keep(upto)

    async def _keep(self, upto: Stamp) -> None:
        await self._bucket.put(self._key, stamp_text(upto).encode())
        self._upto = upto

    async def _published(self, rows: Sequence[Row]) -> None:
        """Publish at once, and wait for all answers. (`publish_async` of nats-py 2.16 waits for ever where the answer is an error.)"""
        import nats

        answers = self._answers = Answers(len(rows))
        for row in rows:
            body = nats_json.body(row)
            try:
                await self._client.publish(self._subjects[row.shape.to], body, answers.reply(self._inbox), {"Nats-Msg-Id": _id(row)})
            except nats.errors.MaxPayloadError:
                raise SinkRefusedError(
                    f"row {row.key} of {row.shape.to} makes a message of {len(body)} bytes, more than NATS takes",
                    hint="raise max_payload of the server, or leave the column out: columns = […]",
                ) from None
        await asyncio.wait_for(answers.done.wait(), self._timeout)
        if answers.failed is not None:
            raise answers.failed

    async def _answered(self, message: Any) -> None:
        self._answers.note(message)

    async def _disconnected(self) -> None:
        self._answers.lost()

    def _run(self, steps: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="pgcharter-nats-sink", daemon=True)
            self._thread.start()

        async def safely() -> T:
            try:
                return await steps(*arguments)
            except (SinkDownError, SinkRefusedError):
                self._bucket = None
                raise
            except Exception as error:
                self._bucket = None
                raise named(error) from error

        return asyncio.run_coroutine_threadsafe(safely(), self._loop).result()

    async def _close(self) -> None:
        client, self._client, self._bucket = self._client, None, None
        if client is not None and not client.is_closed:
            await client.close()

    def close(self) -> None:
        """Close the connection and end its thread."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            self._run(self._close)
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


def _id(row: Row) -> str:
    """The same for the same change of the same row: one change may delete one key and put another."""
    place = blake2b(repr((row.shape.to, row.op, row.key)).encode(), digest_size=8).hexdigest()
    return f"{row.stamp.lsn:x}-{row.stamp.ordinal:x}-{place}"


async def _quiet(_error: Exception) -> None:
    """What goes wrong is told to whoever writes."""
