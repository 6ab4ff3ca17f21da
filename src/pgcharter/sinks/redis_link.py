"""The connection of one writer of a copy in Redis, and errors of Redis as those of a sink."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from pgcharter.sinks.redis_layout import stamp_of
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Stamp

_PASSING = ("OOM", "LOADING", "BUSY", "MISCONF", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "LOST", "NOSCRIPT")


class Link:
    """The connection of one writer: what it sends is applied in its order, or not at all."""

    def __init__(self, url: str, state: str, timeout: float = 30) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._errors = (redis.RedisError, OSError)
        self._state, self._url = state, url
        self._text = files("pgcharter.sinks").joinpath("redis.lua").read_text()
        self._sha, self._token, self._seq, self._open = "", "", 0, False
        self.client: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=False,
        )

    def open(self) -> Stamp | None:
        """Shut out writers of before; give back the stamp that is kept."""
        self._token, self._seq = secrets.token_hex(8), 0
        with self.errors():
            self._sha = self.client.script_load(self._text)
            kept = self.client.evalsha(self._sha, 1, self._state, "open", self._token, "0")
        self._open = True
        return stamp_of(kept) if kept else None

    def keeps(self) -> None:
        """Raises SinkRefusedError where stamps may be evicted: older rows would come back then, and parts of rows be left out."""
        with self.errors():
            memory = self.client.info("memory")
        if memory.get("maxmemory") and str(memory.get("maxmemory_policy", "")).startswith("allkeys"):
            raise SinkRefusedError(
                f"Redis drops any key when it is full (maxmemory-policy {memory['maxmemory_policy']}), so a copy would lose rows unseen",
                hint="redis-cli CONFIG SET maxmemory-policy noeviction",
            )

    def ready(self) -> None:
        """Raises SinkDownError after a failure, when nobody knows what has arrived."""
        if not self._open:
            raise SinkDownError("the connection to Redis has failed before, so nobody knows what was written, and it must be opened anew")

    def run(self, operation: str, *arguments: str) -> Any:
        """One operation of redis.lua."""
        with self.errors():
            return self.client.evalsha(self._sha, 1, self._state, operation, self._token, str(self._seq), *arguments)

    def send(self, pieces: Sequence[Sequence[str]], stamp: str = "") -> None:
        """Pieces of rows, all under way at once: one that fails makes those after it fail. The stamp is kept with the last."""
        with self.errors(), self.client.pipeline(transaction=False) as pipe:
            for left, piece in zip(range(len(pieces) - 1, -1, -1), pieces, strict=True):
                upto = "" if left else stamp
                pipe.evalsha(self._sha, 1, self._state, "write", self._token, str(self._seq), str(self._seq + 1), upto, *piece)
                self._seq += 1
            for answer in pipe.execute(raise_on_error=False):
                if isinstance(answer, Exception):
                    raise answer

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raises SinkDownError for what passes, SinkRefusedError for what does not. Afterwards it must be opened anew."""
        try:
            yield
        except self._errors as error:
            self._open = False
            raise _named(error, self._state) from error

    def close(self) -> None:
        """Close the connection; once more changes nothing."""
        self._open = False
        self.client.close()


def _named(error: Exception, state: str) -> SinkDownError | SinkRefusedError:
    import redis

    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "LOST " in said:
        return SinkDownError(f"Redis {said.partition('LOST ')[2]} since it was opened ({state}), so it must be opened anew")
    if isinstance(error, redis.exceptions.OutOfMemoryError) or said.startswith("OOM") or "used memory > 'maxmemory'" in said:
        return SinkDownError(
            "Redis is full (maxmemory is reached and maxmemory-policy evicts nothing), so rows wait until it has room",
            hint="redis-cli CONFIG SET maxmemory …",
        )
    if isinstance(error, redis.exceptions.AuthenticationError | redis.exceptions.NoPermissionError):
        return SinkRefusedError(
            f"Redis does not let us in or forbids what a copy needs ({type(error).__name__})", hint="ACL SETUSER … +@all ~*"
        )
    if "MISFIT " in said:
        return SinkRefusedError(
            f"the key {said.partition('MISFIT ')[2]} that no copy has made, so the row of that name cannot be written",
            hint="remove the key, or set options.prefix of the sink",
        )
    if (
        isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)
        or type(error).__name__ in _NAMES
        or said.startswith(_PASSING)
    ):
        return SinkDownError(f"Redis does not answer or cannot write just now ({type(error).__name__})")
    return SinkRefusedError(f"Redis refuses a write: {said[:200]}")


_NAMES = ("BusyLoadingError", "ReadOnlyError", "NoScriptError", "ClusterDownError", "TryAgainError", "MasterDownError")
