"""A Redis or Valkey stream as a target: a batch is one script, which takes it whole or not at all.

    Route("bus", RedisStream("redis://…", "events", maxlen=1_000_000))

Entries hold `id`, `topic`, `key`, `body`, and where there are such `tenant`, `actor`, `correlation` and `headers` (JSON).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.targets import Message, TargetDownError

_SCRIPT = """
local at, sent = 6, 0
local maxlen, seen, window = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
for i = 1, tonumber(ARGV[4]) do
  local n = tonumber(ARGV[at])
  if window == 0 or redis.call('SET', seen .. ARGV[at + 2], '1', 'NX', 'PX', window) then
    local fields = {}
    for j = at + 1, at + n do fields[#fields + 1] = ARGV[j] end
    if maxlen > 0 then
      redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[5], maxlen, '*', unpack(fields))
    else
      redis.call('XADD', KEYS[1], '*', unpack(fields))
    end
    sent = sent + 1
  end
  at = at + n + 1
end
return sent
"""
_AT_ONCE = 100


class _AnyRedisStream:
    """What both colours share."""

    ordered = True
    _made: Any
    """Makes the client of this colour."""

    def __init__(
        self, url: str, stream: str | Callable[[Message], str] = "pgcharter", *, maxlen: int = 0, exact: bool = False,
        remember: float = 3600.0, timeout: float = 5.0, **options: Any,
    ) -> None:  # fmt: skip
        """`stream`: its name, or what gives it for a message. `maxlen`: entries that it keeps, about so many unless `exact`; 0: all.

        `remember`: seconds for which a message that comes again is known by its id and not added twice; 0: never. Ids are kept beside the
        stream, as keys that expire. `options` go to redis-py's client. Raises UnavailableError without redis-py.
        """
        if maxlen < 0 or remember < 0 or timeout <= 0:
            raise UsageError(
                f"maxlen {maxlen}, remember {remember} and timeout {timeout} make no stream: none is below 0, and there is a timeout"
            )
        self._name = stream if callable(stream) else lambda _message: stream
        self._limit = (maxlen, "=" if exact else "~")
        self._remember = round(remember * 1000)
        self._client = self._made(url, {"socket_timeout": timeout, "socket_connect_timeout": timeout, **options})
        self._script = self._client.register_script(_SCRIPT)

    def _deliver(self, messages: Sequence[Message]) -> Steps[None]:
        from redis.exceptions import RedisError

        try:
            for stream, some in self._pieces(messages):
                maxlen, sign = self._limit
                fields = [part for m in some for part in _entry(m)]
                arguments = [maxlen, _seen(stream), self._remember, len(some), sign, *fields]
                yield partial(self._script, keys=[stream], args=arguments)
        except RedisError as error:
            raise TargetDownError(f"Redis takes nothing: {type(error).__name__}: {error}") from error

    def _pieces(self, messages: Sequence[Message]) -> Iterator[tuple[str, list[Message]]]:
        """Messages by stream, in their order, as many as a script should take: others wait while it runs."""
        by_stream: dict[str, list[Message]] = {}
        for message in messages:
            by_stream.setdefault(self._name(message), []).append(message)
        for stream, some in by_stream.items():
            for first in range(0, len(some), _AT_ONCE):
                yield stream, some[first : first + _AT_ONCE]


class RedisStream(_AnyRedisStream):
    """A stream, for a `Relay`."""

    def _made(self, url: str, options: dict[str, Any]) -> Any:
        return _module().Redis.from_url(url, **options)

    def deliver(self, messages: Sequence[Message]) -> None:
        """Add what was not added before. Raises TargetDownError, of which some may have been added: they are known when they come again."""
        driven(self._deliver(messages))

    def close(self) -> None:
        """Close connections; a later `deliver` makes new ones."""
        self._client.close()


class AsyncRedisStream(_AnyRedisStream):
    """A stream, for an `AsyncRelay`."""

    def _made(self, url: str, options: dict[str, Any]) -> Any:
        return _module().asyncio.Redis.from_url(url, **options)

    async def deliver(self, messages: Sequence[Message]) -> None:
        """The async twin of `RedisStream.deliver`."""
        await awaited(self._deliver(messages))

    async def close(self) -> None:
        """The async twin of `RedisStream.close`."""
        await self._client.aclose()


def _entry(message: Message) -> list[Any]:
    """The number of a message's fields and values, and these; `id` comes first."""
    fields: list[Any] = ["id", str(message.id), "topic", message.topic, "key", message.key or "", "body", message.body]
    for name in ("tenant", "actor", "correlation"):
        if value := getattr(message, name):
            fields += (name, value)
    if message.headers:
        fields += ("headers", json.dumps(message.headers))
    return [len(fields), *fields]


def _seen(stream: str) -> str:
    """What names of ids begin with; in a cluster they are where the stream is."""
    return f"{stream}:seen:" if "{" in stream else f"{{{stream}}}:seen:"


def _module() -> Any:
    try:
        import redis
        import redis.asyncio
    except ImportError:
        raise UnavailableError("redis-py is not installed, which streams of Redis need", hint="pip install 'pgcharter[redis]'") from None
    return redis
