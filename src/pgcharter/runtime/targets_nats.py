"""A stream of NATS JetStream as a target. Its id goes with every message, so the stream drops what comes again within its duplicate window.

    Route("bus", NatsStream("nats://…", subject=lambda m: f"shop.{m.topic}"))

The stream must be there and take the subjects; make its `duplicate_window` longer than a relay may be away (NATS: two minutes).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pgcharter.errors import UnavailableError
from pgcharter.runtime.targets import Failed, Message, Outcome, PartlyDownError, TargetDownError, waves


class AsyncNatsStream:
    """A stream, for an `AsyncRelay`."""

    ordered = True

    def __init__(
        self, url: str, *, subject: Callable[[Message], str] | None = None, stream: str = "", timeout: float = 5.0, **options: Any
    ) -> None:
        """`subject`: gives a message's; its topic otherwise. `stream`: the name that the stream must have; empty: whichever takes it.

        `options` go to nats.connect. Raises UnavailableError without nats-py.
        """
        _module()
        self.url, self.subject, self.stream, self.timeout = url, subject, stream, timeout
        self._options = {
            "connect_timeout": timeout,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.25,
            "allow_reconnect": True,
            **options,
        }
        self._client: Any = None

    async def deliver(self, messages: Sequence[Message]) -> list[Outcome]:
        """Publish, those of different keys at once, and wait until the stream has them. Raises TargetDownError."""
        found: dict[int, Outcome] = {}
        stuck: set[str] = set()
        context = await self._context()
        for wave in waves(messages):
            some = [messages[i] for i in wave if messages[i].key is None or messages[i].key not in stuck]
            said = await asyncio.gather(*(self._publish(context, m) for m in some), return_exceptions=True)
            for message, one in zip(some, said, strict=True):
                if isinstance(one, TargetDownError):
                    continue
                if isinstance(one, BaseException):
                    raise one
                found[message.position] = one
                if one is not None and message.key is not None:
                    stuck.add(message.key)
            down = next((s for s in said if isinstance(s, TargetDownError)), None)
            if down is not None:
                raise PartlyDownError(str(down), [m for m in messages if m.position in found and found[m.position] is None]) from down
        return [found.get(m.position) for m in messages]

    async def _context(self) -> Any:
        import nats

        try:
            if self._client is None or self._client.is_closed:
                self._client = await nats.connect(self.url, error_cb=_quiet, **{**self._options, "max_reconnect_attempts": 1})
                self._client.options["max_reconnect_attempts"] = self._options["max_reconnect_attempts"]
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise TargetDownError(f"NATS lets nobody in: {type(error).__name__}: {error}") from error
        return self._client.jetstream(timeout=self.timeout)

    async def _publish(self, context: Any, message: Message) -> Outcome:
        import nats
        from nats.js.errors import Error as StreamError

        subject = self.subject(message) if self.subject else message.topic
        headers = {**(message.headers or {}), **_about(message), "Nats-Msg-Id": str(message.id)}
        try:
            await context.publish(subject, message.body, stream=self.stream or None, headers=headers)
        except nats.errors.MaxPayloadError:
            return Failed(f"it has {len(message.body)} bytes, more than NATS takes", final=True)
        except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
            return Failed(f"{subject!r} or a header is nothing that NATS takes: {type(error).__name__}", final=True)
        except (TimeoutError, nats.errors.Error, StreamError, OSError) as error:
            raise TargetDownError(f"the stream for {subject!r} takes nothing: {type(error).__name__}: {error}") from error
        return None

    async def close(self) -> None:
        """Close the connection; a later `deliver` makes a new one."""
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()


class NatsStream:
    """A stream, for a `Relay`: an event loop in a thread of its own talks to it."""

    ordered = True

    def __init__(self, url: str, **more: Any) -> None:
        """As `AsyncNatsStream`."""
        self._stream = AsyncNatsStream(url, **more)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def deliver(self, messages: Sequence[Message]) -> list[Outcome]:
        """The sync twin of `AsyncNatsStream.deliver`."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="pgcharter-nats", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._stream.deliver(messages), self._loop).result()

    def close(self) -> None:
        """Close the connection and end the thread; a later `deliver` begins anew."""
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._stream.close(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(10)
            loop.close()


def _about(message: Message) -> dict[str, str]:
    """Headers that say what is in no payload."""
    about = {
        "topic": message.topic,
        "key": message.key,
        "tenant": message.tenant,
        "actor": message.actor,
        "correlation": message.correlation,
    }
    return {f"Pgcharter-{name.capitalize()}": _line(value) for name, value in about.items() if value}


def _line(text: str) -> str:
    """A text that a header can hold: what it cannot, as percent and two digits."""
    from urllib.parse import quote

    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")


async def _quiet(_error: Exception) -> None:
    """What goes wrong is told to whoever publishes."""


def _module() -> None:
    try:
        import nats  # noqa: F401
    except ImportError:
        raise UnavailableError("nats-py is not installed, which streams of NATS need", hint="pip install 'pgcharter[nats]'") from None
