"""Replicas as they are known from traffic and from a watcher: how far they have replayed, how much they lag, whether they are in."""

from __future__ import annotations

import bisect
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from pgcharter.errors import UsageError
from pgcharter.runtime.pools import Server
from pgcharter.runtime.tokens import Token


@dataclass(frozen=True, slots=True)
class Routing:
    """How replicas are chosen. Raises UsageError for what makes no sense."""

    wait: float = 0.1
    """Longest that a read waits, in seconds, for a replica to replay what it has to see; then it goes to the primary."""
    poll: float = 0.5
    """Seconds between two looks at each server."""
    max_lag: float = 10.0
    """Seconds behind the primary from which a replica is left out."""
    max_bytes: int = 1 << 30
    """Bytes of log behind the primary from which a replica is left out."""
    back: float = 0.5
    """Share of both below which it is taken back."""
    silent: float = 5.0
    """Seconds without a sign of life after which a replica is left out."""
    borrow: float = 0.25
    """Longest that a read waits, in seconds, for a connection to a replica."""
    attempts: int = 2
    """Tries of a unit of work on replicas, for instance after conflicts with recovery; further ones are on the primary."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if min(self.poll, self.max_lag, self.max_bytes, self.borrow) <= 0 or self.wait < 0 or not 0 < self.back <= 1:
            raise UsageError(f"{self} makes no sense: times and sizes are above zero, back is a share of 1")
        if self.silent < 2 * self.poll:
            raise UsageError(
                f"a replica is looked at every {self.poll:g} s, and {self.silent:g} s without a sign of life would leave it out"
            )


@dataclass(slots=True)
class RoutingCounts:
    """Where read-only units of work went."""

    replica: int = 0
    primary: int = 0
    """Those that might have gone to a replica, had one been far enough and at hand."""
    waited: int = 0
    """Those that waited for a replica to catch up."""
    failed: int = 0
    """Tries to begin on a replica that failed: connection gone, none free, refused."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a look at a server has shown."""

    standby: bool
    lsn: int
    """How far it has replayed; of a primary, how far its log is on disk."""
    system: str
    timeline: int
    page: int
    segment: int
    end: int = 0
    """Of a primary: where its log ends, on disk or not."""


class Positions:
    """Where the log of the primary was at which time: what a replica's lag is measured by.

    The time of the last replayed transaction is no measure: it grows while nothing is written.
    """

    def __init__(self, span: float) -> None:
        self.timeline = 0
        self._apart = span / 200
        self._times: deque[float] = deque(maxlen=512)
        self._lsns: deque[int] = deque(maxlen=512)
        self._lock = threading.Lock()

    def note(self, timeline: int, lsn: int, now: float) -> None:
        """The primary is there now."""
        if timeline == self.timeline and self._times and (now - self._times[-1] < self._apart or lsn <= self._lsns[-1]):
            return
        with self._lock:
            if timeline != self.timeline:
                self._times.clear()
                self._lsns.clear()
                self.timeline = timeline
            self._times.append(now)
            self._lsns.append(lsn)

    def lag(self, lsn: int, now: float) -> float:
        """Seconds that a replica which is at `lsn` now is behind, at least; 0 where nothing newer is known."""
        with self._lock:
            place = bisect.bisect_right(self._lsns, lsn)
            return now - self._times[place] if place < len(self._times) else 0.0

    def bytes(self, lsn: int) -> int:
        """Bytes of log that a replica at `lsn` is behind, at least."""
        return max(0, self._lsns[-1] - lsn) if self._lsns else 0


@dataclass(slots=True)
class Replica:
    """A replica, and what is known of it."""

    server: Server
    out: str = "it has not been heard of yet"
    """Why no work goes to it; empty while it is in."""
    lsn: int = 0
    """How far it had replayed when it was last asked."""
    timeline: int = 0
    lag: float = 0.0
    """Seconds behind the primary, at least, when it was last asked."""
    bytes: int = 0
    heard: float = 0.0
    """When, by the monotonic clock."""
    broken: bool = False
    """Its connections have failed since it was last heard of."""
    removed: int = 0
    """How often it went out."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, lsn: int, positions: Positions, now: float) -> None:
        """It has replayed up to there."""
        self.lsn = lsn
        self.lag = positions.lag(lsn, now)
        self.bytes = positions.bytes(lsn)
        self.heard = now

    def judged(self, facts: Facts, system: str, routing: Routing) -> None:
        """In or out, by what a look has shown."""
        share = routing.back if self.out else 1.0
        why = ""
        if facts.system != system:
            why = f"it is of system {facts.system}, and the primary of {system}"
        elif not facts.standby:
            why = "it is no standby"
        elif self.lag > routing.max_lag * share or self.bytes > routing.max_bytes * share:
            why = f"it is {self.lag:.1f} s and {self.bytes} bytes behind"
        self.timeline = facts.timeline
        self.put(why)

    def put(self, why: str) -> None:
        """Out for a reason, or in without one."""
        with self._lock:
            if why and not self.out:
                self.removed += 1
            self.out = why

    def fails(self, error: BaseException) -> None:
        """Its connections do not work."""
        self.broken = True
        self.put(f"its connections fail: {str(error).strip().partition(chr(10))[0]}")

    def fit(self, need: Token | None, wait: float, routing: Routing, now: float) -> bool:
        """Whether work may go to it that needs to see so much and can wait so long."""
        if self.out or now - self.heard > routing.silent:
            return False
        return need is None or self.lsn >= need.lsn or self.lag <= wait

    def why(self, routing: Routing) -> str:
        """Why no work goes to it now; empty while it is in."""
        silent = time.monotonic() - self.heard
        return self.out or (f"it has been silent for {silent:.1f} s" if silent > routing.silent else "")
