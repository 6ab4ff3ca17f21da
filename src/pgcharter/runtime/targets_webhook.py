"""A URL as a target: each message is a POST, signed as Standard Webhooks has it (webhook-id, webhook-timestamp, webhook-signature).

    Route("partner", Webhook("https://partner.example/in", secrets={"2026-11": os.environ["PARTNER_SECRET"]}))

The signature is `v1,` and the Base64 of HMAC-SHA256 over `id.timestamp.body`; with several secrets there are as many signatures, and
`webhook-key-id` names them in the same order. `verify_webhook` checks all of it where messages arrive.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.targets import Failed, Message, Outcome, PartlyDownError, TargetDownError, waves
from pgcharter.runtime.targets_signing import secret_bytes, signed

__all__ = ["AsyncWebhook", "Webhook"]
_AGAIN = frozenset({408, 425, 429})
_LONGEST = 86_400.0
_SHORT = 4096


class _AnyWebhook:
    """What both colours share."""

    ordered = True
    _read, _close = "read", "close"

    def __init__(
        self, url: str, *, secrets: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, timeout: float = 10.0,
        concurrency: int = 8, **options: Any,
    ) -> None:  # fmt: skip
        """`secrets`: by key id, `whsec_…` or any text; the first one is for now, others are for receivers that know only those.

        `headers` go with every request, such as Authorization. `timeout` is for each of connecting, sending and answering, in seconds.
        `concurrency`: requests at a time, never two of a key. `options` go to httpx's client. Raises UnavailableError without httpx.
        """
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise UsageError("the address of a webhook is none", hint="https://host/path")
        if concurrency < 1 or timeout <= 0:
            raise UsageError(f"concurrency is {concurrency} and timeout {timeout}: at least one request at a time, and some time for it")
        if not all(name and name.isascii() and name.isprintable() and " " not in name for name in secrets or {}):
            raise UsageError("key ids of a webhook's secrets are words in ASCII, since a header names them")
        self.url, self.concurrency = url, concurrency
        self.host = urlsplit(url).hostname or ""
        self._headers = dict(headers or {})
        self._secrets = {name: secret_bytes(value) for name, value in (secrets or {}).items()}
        self._options = {"timeout": timeout, "follow_redirects": False, "trust_env": False, **options}
        _module()

    def _request(self, client: Any, message: Message) -> Steps[Outcome]:
        import httpx

        body = message.body
        try:
            request = client.build_request("POST", self.url, content=body, headers=self._made_headers(message, body))
            answer = yield partial(client.send, request, stream=True)
            short = answer.headers.get("content-length", "").isdecimal() and int(answer.headers["content-length"]) <= _SHORT
            yield getattr(answer, self._read if short else self._close)  # a long answer costs its connection, not our memory
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise TargetDownError(f"{self.host} cannot be reached: {type(error).__name__}") from None
        except httpx.TimeoutException as error:
            return Failed(f"{self.host} did not answer in time: {type(error).__name__}")
        except httpx.HTTPError as error:
            return Failed(f"the request to {self.host} was cut short: {type(error).__name__}")
        return _outcome(self.host, answer.status_code, answer.headers.get("retry-after"))

    def _made_headers(self, message: Message, body: bytes) -> dict[str, str]:
        kind = "application/json" if message.text is not None else "application/octet-stream"
        about = {"topic": message.topic, "key": message.key, "tenant": message.tenant, "correlation": message.correlation}
        said = {f"webhook-{name}": quote(value, safe=_PLAIN) for name, value in about.items() if value}
        own = {n: v.encode("utf-8") for n, v in (message.headers or {}).items() if n.lower() not in _OURS}
        base: dict[str, Any] = {"content-type": kind, **own, **self._headers, **said}
        return {**base, **signed(str(message.id), int(time.time()), body, self._secrets)}


_PLAIN = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization", "cookie"})
"""Headers that no message sets."""


class Webhook(_AnyWebhook):
    """A URL, for a `Relay`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._client: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def deliver(self, messages: Sequence[Message]) -> list[Outcome]:
        """POST each; see `_outcome`. Raises TargetDownError where the host cannot be reached."""
        import httpx

        with self._lock:
            self._client = self._client or httpx.Client(**self._options)
            self._threads = self._threads or ThreadPoolExecutor(self.concurrency, "pgcharter-webhook")
        gathering = _Gathering(messages)
        for some in gathering:
            gathering.note(some, list(self._threads.map(self._one, some)))
        return gathering.outcomes()

    def _one(self, message: Message) -> Outcome | TargetDownError:
        try:
            return driven(self._request(self._client, message))
        except TargetDownError as error:
            return error

    def close(self) -> None:
        """Close connections; a later `deliver` makes new ones."""
        with self._lock:
            client, self._client = self._client, None
            threads, self._threads = self._threads, None
        if client is not None:
            client.close()
        if threads is not None:
            threads.shutdown()


class AsyncWebhook(_AnyWebhook):
    """A URL, for an `AsyncRelay`."""

    _read, _close = "aread", "aclose"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._client: Any = None
        self._gate = asyncio.Semaphore(self.concurrency)

    async def deliver(self, messages: Sequence[Message]) -> list[Outcome]:
        """The async twin of `Webhook.deliver`."""
        import httpx

        self._client = self._client or httpx.AsyncClient(**self._options)
        gathering = _Gathering(messages)
        for some in gathering:
            gathering.note(some, await asyncio.gather(*map(self._one, some)))
        return gathering.outcomes()

    async def _one(self, message: Message) -> Outcome | TargetDownError:
        async with self._gate:
            try:
                return await awaited(self._request(self._client, message))
            except TargetDownError as error:
                return error

    async def close(self) -> None:
        """The async twin of `Webhook.close`."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class _Gathering:
    """A batch in waves of which none has two messages of a key; what follows a failure of its key is left out."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.found: dict[int, Outcome] = {}
        self.stuck: set[str] = set()

    def __iter__(self) -> Any:
        for wave in waves(self.messages):
            some = [self.messages[i] for i in wave if self.messages[i].key is None or self.messages[i].key not in self.stuck]
            if some:
                yield some

    def note(self, some: Sequence[Message], said: Sequence[Outcome | TargetDownError]) -> None:
        """Keep what came of a wave. Raises TargetDownError where one could not be sent at all."""
        down = None
        for message, one in zip(some, said, strict=True):
            if isinstance(one, TargetDownError):
                down = one
                continue
            self.found[message.position] = one
            if one is not None and message.key is not None:
                self.stuck.add(message.key)
        if down is not None:
            raise PartlyDownError(str(down), [m for m in self.messages if self.found.get(m.position, down) is None])

    def outcomes(self) -> list[Outcome]:
        """For each message."""
        return [self.found.get(m.position) for m in self.messages]


def _outcome(host: str, status: int, after: str | None) -> Outcome:
    """2xx: done. 5xx, 408, 425 and 429: tried again, when Retry-After says so. All else, redirects too: dead, until a person decides."""
    if 200 <= status < 300:
        return None
    if status >= 500 or status in _AGAIN:
        return Failed(f"{host} answered {status}", after=_seconds(after))
    redirect = ", and redirects are not followed" if 300 <= status < 400 else ""
    return Failed(f"{host} answered {status}{redirect}", final=True)


def _seconds(after: str | None) -> float | None:
    """What Retry-After says, a day at most; None for what it does not."""
    if not after:
        return None
    if after.strip().isdecimal():
        return min(float(after[:12]), _LONGEST)
    try:
        at = parsedate_to_datetime(after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), _LONGEST)


def _module() -> None:
    try:
        import httpx  # noqa: F401
    except ImportError:
        raise UnavailableError("httpx is not installed, which webhooks need", hint="pip install 'pgcharter[webhook]'") from None
