"""What a `Database` has done and how its servers are: counts, health, text for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pgcharter.runtime.routing import Router

Count = Literal["runs", "committed", "rolled_back", "tried_again", "lost", "asked", "unknown", "hooks_failed", "leaks"]


@dataclass(slots=True)
class Counts:
    """What a `Database` has done since it was made. Exact in threads."""

    runs: int = 0
    committed: int = 0
    rolled_back: int = 0
    tried_again: int = 0
    lost: int = 0
    """Tries that ended because the connection was lost before COMMIT was sent."""
    asked: int = 0
    """Commits whose answer was lost, and whose outcome was asked of the server."""
    unknown: int = 0
    """Those of them that nobody could tell."""
    hooks_failed: int = 0
    leaks: int = 0
    """Connections that were lent for longer than `PoolSize.leak`."""

    def add(self, name: Count) -> None:
        """One more."""
        with _lock:
            setattr(self, name, getattr(self, name) + 1)


_lock = threading.Lock()
_HELP: dict[Count, str] = {
    "runs": "units of work begun",
    "committed": "transactions committed",
    "rolled_back": "transactions rolled back",
    "tried_again": "further tries of units of work",
    "lost": "tries whose connection was lost before COMMIT was sent",
    "asked": "commits whose answer was lost and asked for",
    "unknown": "commits whose outcome nobody could tell",
    "hooks_failed": "hooks that raised an error",
    "leaks": "connections lent for too long",
}


@dataclass(frozen=True, slots=True)
class Health:
    """How one server is."""

    name: str
    reachable: bool
    seconds: float
    """What connecting and asking took."""
    standby: bool
    error: str
    """Why it is not reachable; empty where it is."""
    left_out: str
    """Of a replica: why no work goes to it; empty where it does."""
    connections: int
    """Of the pool, made or being made."""
    lent: int
    waiting: int
    """Callers that wait for a connection."""
    most: int
    """Connections that the pool may have."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """One pool: connections now, and requests since it was made."""

    name: str
    connections: int
    lent: int
    waiting: int
    most: int
    requests: int
    queued: int
    """Requests that had to wait."""
    waited: float
    """Seconds, all together."""
    refused: int
    made: int
    """Connections that were made."""
    failed: int
    """Attempts to connect that failed."""


def pool_stats(server: Any) -> PoolStats:
    """Of a `Server` whose pool is open."""
    found = server.pool.get_stats()
    return PoolStats(
        server.name, found["pool_size"], len(server.loans), found["requests_waiting"], found["pool_max"], found.get("requests_num", 0),
        found.get("requests_queued", 0), found.get("requests_wait_ms", 0) / 1000, found.get("requests_errors", 0),
        found.get("connections_num", 0), found.get("connections_errors", 0),
    )  # fmt: skip


_GAUGES = {"connections": "connections made or being made", "lent": "connections lent", "waiting": "callers waiting for a connection",
           "most": "connections the pool may have"}  # fmt: skip
_TOTALS = {"requests": "requests for a connection", "queued": "requests that had to wait", "refused": "requests without a connection",
           "made": "connections made", "failed": "attempts to connect that failed"}  # fmt: skip


_ROUTED = {"replica": "read-only work on replicas", "primary": "read-only work that replicas were not far enough for",
           "waited": "read-only work that waited for a replica", "failed": "tries to begin on a replica that failed"}  # fmt: skip


def exposition(counts: Counts, pools: list[PoolStats], router: Router | None, database: str) -> str:
    """Text for Prometheus (exposition format 0.0.4)."""
    lines = (*_lines(counts, pools, _label(database)), *(_routed(router, _label(database)) if router else ()))
    return "".join(f"{line}\n" for line in lines)


def _lines(counts: Counts, pools: list[PoolStats], database: str) -> Iterator[str]:
    for name, said in _HELP.items():
        yield from _head(f"pgcharter_work_{name}_total", said, "counter")
        yield f'pgcharter_work_{name}_total{{database="{database}"}} {getattr(counts, name)}'
    for names, kind, end in ((_GAUGES, "gauge", ""), (_TOTALS, "counter", "_total")):
        for each, said in names.items():
            metric = f"pgcharter_pool_{each}{end}"
            yield from _head(metric, said, kind)
            yield from (f'{metric}{{database="{database}",server="{_label(p.name)}"}} {getattr(p, each)}' for p in pools)
    yield from _head("pgcharter_pool_waited_seconds_total", "seconds waited for connections", "counter")
    for p in pools:
        yield f'pgcharter_pool_waited_seconds_total{{database="{database}",server="{_label(p.name)}"}} {p.waited:g}'


def _routed(router: Router, database: str) -> Iterator[str]:
    for name, said in _ROUTED.items():
        yield from _head(f"pgcharter_routing_{name}_total", said, "counter")
        yield f'pgcharter_routing_{name}_total{{database="{database}"}} {getattr(router.counts, name)}'
    yield from _head("pgcharter_replica_used", "1 where read-only work goes to a replica, 0 where it is left out", "gauge")
    for server, why in router.status().items():
        yield f'pgcharter_replica_used{{database="{database}",server="{_label(server)}"}} {int(not why)}'


def _head(metric: str, said: str, kind: str) -> tuple[str, str]:
    return f"# HELP {metric} {said}", f"# TYPE {metric} {kind}"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
