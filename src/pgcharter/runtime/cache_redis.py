"""Values in Redis or Valkey: a hit is one MGET of clock, value and tags; everything else is one script (`cache_redis.lua`).

A server that starts again from an old copy, or a replica that becomes primary without the last invalidations, has another run id: the first
connection to it begins a new epoch, so nothing of before is served. Needs server 6.2 or newer, and INFO and scripts to be allowed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha1
from importlib.resources import files
from typing import Any

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.cache_local import Local
from pgcharter.runtime.cache_redis_reads import Reads
from pgcharter.runtime.cache_store import (
    TAG_KEPT,
    Change,
    Item,
    Lease,
    Leased,
    StoreError,
    Verdict,
    body,
    good,
    mark_of,
    parsed,
    wall,
)
from pgcharter.runtime.colours import Steps, awaited, driven

SCRIPT = files("pgcharter.runtime").joinpath("cache_redis.lua").read_bytes
_HINTS = 50_000


class RedisStore:
    """Values in a Redis or Valkey server. A store serves one colour: with `Cache` it blocks, with `AsyncCache` it awaits.

    `namespace`: several applications share a server. `options` go to redis-py's client (`socket_timeout`, `max_connections`, `ssl_…`).
    """

    watched = True

    def __init__(
        self, url: str, *, namespace: str = "app", adopt: bool = True, connect_timeout: float = 0.5, timeout: float = 1.0, **options: Any
    ) -> None:
        self._url, self._adopt = url, adopt
        self._options = {"socket_connect_timeout": connect_timeout, "socket_timeout": timeout, **options}
        self._prefix = f"pgcharter:{{{namespace}}}:".encode()
        self._clock, self._v, self._t = self._prefix + b"c", self._prefix + b"v", self._prefix + b"t"
        self._client: Any = None
        self._reads: Reads
        self._sha = b""
        self._text = b""
        self._hints: dict[str, tuple[str, ...]] = {}
        self._errors: tuple[type[Exception], ...] = ()

    colour = ""

    def connect(self, colour: str) -> None:
        """Make the client, `sync` or `async`; connections are made when they are needed. Raises UnavailableError without redis-py."""
        if self.colour:
            raise UsageError("a store has a cache already, and its connections are that one's", hint="make a store for each cache")
        self.colour = colour
        try:
            import redis
            import redis.asyncio
            from redis.asyncio.retry import Retry as AsyncRetry
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise UnavailableError(
                "redis-py is not installed, and a cache in Redis needs it", hint="pip install 'pgcharter[redis]'"
            ) from None
        self._text = SCRIPT()
        self._sha = sha1(self._text, usedforsecurity=False).hexdigest().encode()
        self._errors = (redis.RedisError, OSError)
        options: dict[str, Any] = {**self._options, "decode_responses": False}
        if colour == "sync":
            hook = (lambda conn: driven(self._greet(conn))) if self._adopt else None
            self._client = redis.Redis.from_url(self._url, retry=Retry(NoBackoff(), 1), redis_connect_func=hook, **options)
        else:
            self._client = redis.asyncio.Redis.from_url(
                self._url, retry=AsyncRetry(NoBackoff(), 1), redis_connect_func=self._async_hook() if self._adopt else None, **options
            )

        self._reads = Reads(self._client, threading.Event if colour == "sync" else asyncio.Event, self._errors)

    def _async_hook(self) -> Callable[[Any], Awaitable[None]]:
        async def hook(conn: Any) -> None:
            await awaited(self._greet(conn))

        return hook

    def _greet(self, conn: Any) -> Steps[None]:
        """What a new connection says first: which server process it is."""
        yield conn.on_connect
        yield partial(conn.send_command, "INFO", "server", check_health=False)
        answer = yield conn.read_response
        text = answer.decode() if isinstance(answer, bytes) else answer
        run = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("run_id:")), "")
        yield partial(conn.send_command, "EVAL", self._text, 1, *self._arguments("adopt", run), check_health=False)
        yield conn.read_response

    def read(self, name: str, tags: Sequence[str]) -> Steps[Item | None]:
        """A value that is good, in one round trip; two where its tags are other ones than it had before."""
        expected, fetch = self._hints.get(name, tags), self._reads.fetch
        with self._named_errors():
            clock, record, *marks = yield from fetch([self._clock, self._v + name.encode(), *[self._t + tag.encode() for tag in expected]])
            if record is None or record[:1] != b"V" or clock is None or clock[:8] != record[1:9]:
                return None
            epoch, born, item = parsed(record)
            if item.tags != expected:
                if item.tags != tuple(tags):
                    self._remember(name, item.tags)
                marks = list((yield from fetch([self._t + tag.encode() for tag in item.tags]))) if item.tags else []
        beginning, limit = b"X" + record[1:9], record[9:25]
        for mark in marks:
            if mark is None or len(mark) != 41 or mark[:9] != beginning or mark[9:25] > limit:
                return item if good(epoch, born, [mark_of(m) for m in marks]) else None
        return item

    def _remember(self, name: str, tags: tuple[str, ...]) -> None:
        if len(self._hints) >= _HINTS:
            self._hints.clear()
        self._hints[name] = tags

    def lease(self, name: str, tags: Sequence[str], token: str, seconds: float, now: float, refresh: bool) -> Steps[Leased]:  # noqa: ARG002
        """Ask to fill a value."""
        answer = yield from self._run("lease", name, token, _ms(seconds), "1" if refresh else "0", _ms(TAG_KEPT), *tags)
        state = answer[0].decode()
        if state == "won":
            return Leased("won", Lease(token, answer[1].decode(), int(answer[2], 16)))
        if state == "taken":
            return Leased("taken", holder=answer[1].decode())
        if state == "value":
            return Leased("value", item=parsed(answer[1])[2])
        return Leased("held")

    def fill(self, name: str, lease: Lease, item: Item, now: float) -> Steps[Verdict]:
        """Store what was loaded, if the lease still stands and no tag was touched since."""
        born = f"{lease.born:016x}"
        life = _ms(item.dead - now)
        return (
            yield from self._verdict(
                "fill", name, lease.token, lease.epoch, born, body(item), life, f"{item.version:016x}", _ms(TAG_KEPT), *item.tags
            )
        )

    def give_up(self, name: str, lease: Lease) -> Steps[None]:
        """End a lease without a value."""
        yield from self._run("give up", name, lease.token)

    def put(self, name: str, item: Item, now: float, release: str = "", lease: Lease | None = None) -> Steps[Verdict]:
        """Store a value that its caller vouches for."""
        begun, born = (lease.epoch, f"{lease.born:016x}") if lease else ("", "")
        life = _ms(item.dead - now)
        return (
            yield from self._verdict("put", name, release, begun, born, body(item), life, f"{item.version:016x}", _ms(TAG_KEPT), *item.tags)
        )

    def change(self, change: Change, now: float) -> Steps[Lease]:  # noqa: ARG002
        """Invalidate."""
        answer = yield from self._run(
            "change", f"{change.version:016x}", change.release, change.hold, _ms(change.hold_for) if change.hold else "0", _ms(TAG_KEPT),
            "1" if change.everything else "0", len(change.tags), *change.tags, *change.keys,
        )  # fmt: skip
        return Lease("", answer[0].decode(), int(answer[1], 16))

    def close(self) -> Steps[None]:
        """Close the connections."""
        if self._client is not None:
            yield self._client.aclose if hasattr(self._client, "aclose") else self._client.close

    def listen(self, local: Local, silence: float, stop: Callable[[], bool]) -> Steps[None]:
        """Empty `local` of what is invalidated, until `stop`. One that has not heard of the server for `silence` seconds serves nothing."""
        while not stop():
            stream = self._client.pubsub()
            try:
                yield partial(stream.subscribe, self._prefix + b"i")
                yield from self._follow(stream, local, silence, stop)
            except self._errors:
                pass
            finally:
                local.until = 0.0
                local.clear()
                yield partial(_closed, stream)
            if not stop():
                yield partial(self._pause, 0.1)

    def _pause(self, seconds: float) -> Any:
        return asyncio.sleep(seconds) if hasattr(self._client, "aclose") else time.sleep(seconds)

    def _follow(self, stream: Any, local: Local, silence: float, stop: Callable[[], bool]) -> Steps[None]:
        asked, answered, last = -silence, True, ""
        while not stop():
            now = time.monotonic()  # the clock on the wall may be put back
            if answered and now - asked >= silence / 4:
                asked, answered = now, False
                yield stream.ping
            elif not answered and now - asked > silence:
                return
            message = yield partial(stream.get_message, timeout=silence / 8)
            if message is None:
                continue
            if message["type"] == "subscribe":
                local.clear()
            elif message["type"] == "pong":
                answered, local.until = True, wall() + silence - (time.monotonic() - asked)
            elif message["type"] == "message":
                last = _heard(message["data"].decode(), last, local)

    def _arguments(self, operation: str, *arguments: Any) -> tuple[Any, ...]:
        return (self._prefix + b"c", self._prefix, operation, secrets.token_hex(4), *arguments)

    def _run(self, operation: str, *arguments: Any) -> Steps[Any]:
        given = self._arguments(operation, *arguments)
        client: Any = self._client
        with self._named_errors():
            try:
                return (yield partial(client.execute_command, "EVALSHA", self._sha, 1, *given))
            except self._errors as error:
                if type(error).__name__ != "NoScriptError":
                    raise
                return (yield partial(client.execute_command, "EVAL", self._text, 1, *given))

    def _verdict(self, operation: str, *arguments: Any) -> Steps[Verdict]:
        answer = yield from self._run(operation, *arguments)
        return answer.decode()  # type: ignore[no-any-return]

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise StoreError(f"the cache server did not answer as it should ({type(error).__name__})") from error
        except (ValueError, TypeError, IndexError) as error:
            raise StoreError(f"a record of the cache server is damaged ({type(error).__name__})") from error


def _closed(stream: Any) -> Any:
    return stream.aclose() if hasattr(stream, "aclose") else stream.close()


def _ms(seconds: float) -> str:
    return str(max(1, min(int(seconds * 1000), 0xFFFFFFFF * 100)))


def _heard(text: str, last: str, local: Local) -> str:
    """Apply a message: number, then records. A gap in the numbers means that one was missed. Gives the number."""
    number, *records = text.split(" ")
    missed = bool(last) and int(number, 16) != int(last, 16) + 1
    if missed or "!" in records:
        local.clear()
    else:
        local.invalidate([r[1:] for r in records if r[0] == "v"], [r[1:] for r in records if r[0] == "t"])
    return number
