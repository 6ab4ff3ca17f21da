"""Values in this process alone: one lock is what makes a fill compare and set."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence

from pgcharter.runtime.cache_local import Local
from pgcharter.runtime.cache_store import Change, Item, Lease, Leased, Mark, Verdict
from pgcharter.runtime.colours import Steps

_MARKS = 200_000


class MemoryStore:
    """Values of this process. Several caches, sync and async, may share one.

    Tags need no check when a value is read: an invalidation finds the values by tag and drops them, and holds are put on an empty place.
    """

    watched = True

    def __init__(self, entries: int = 10_000, size: int = 64 << 20) -> None:
        self.local = Local(entries, size)
        self._epoch = secrets.token_hex(4)
        self._clock = 0
        self._marks: OrderedDict[str, Mark] = OrderedDict()
        self._leases: dict[str, tuple[str, float]] = {}
        self._lost_floor = 0
        self._lost_until = 0.0

    def read(self, name: str, tags: Sequence[str]) -> Steps[Item | None]:  # noqa: ARG002
        """A value that is there."""
        yield from ()
        return self.local.items.get(name)

    def lease(self, name: str, tags: Sequence[str], token: str, seconds: float, now: float, refresh: bool) -> Steps[Leased]:
        """Ask to fill a value."""
        yield from ()
        with self.local.lock:
            if any(self._mark(n, now).holds for n in (*tags, f"k{name}")):
                return Leased("held")
            item = self.local.items.get(name)
            if item is not None and not refresh and item.expires > now:
                return Leased("value", item=item)
            holder, until = self._leases.get(name, ("", 0.0))
            if until > now and holder != token:
                return Leased("taken", holder=holder)
            if len(self._leases) > _MARKS:
                self._leases = {n: held for n, held in self._leases.items() if held[1] > now}
            self._leases[name] = (token, now + seconds)
            return Leased("won", Lease(token, self._epoch, self._clock))

    def fill(self, name: str, lease: Lease, item: Item, now: float) -> Steps[Verdict]:
        """Store what was loaded, if the lease still stands."""
        yield from ()
        with self.local.lock:
            holder, until = self._leases.get(name, ("", 0.0))
            if holder != lease.token:
                return "fenced"
            del self._leases[name]
            if until <= now or lease.epoch != self._epoch:
                return "fenced"
            return self._stored(name, item, lease.born, now)

    def give_up(self, name: str, lease: Lease) -> Steps[None]:
        """End a lease without a value."""
        yield from ()
        with self.local.lock:
            if self._leases.get(name, ("", 0.0))[0] == lease.token:
                del self._leases[name]

    def put(self, name: str, item: Item, now: float, release: str = "", lease: Lease | None = None) -> Steps[Verdict]:
        """Store a value that its caller vouches for."""
        yield from ()
        with self.local.lock:
            if release:
                self._release(f"k{name}", release, now)
                for tag in item.tags:
                    self._release(tag, release, now)
            self._clock += 1
            self._leases.pop(name, None)
            if lease is not None and lease.epoch != self._epoch:
                verdict: Verdict = "fenced"
            else:
                verdict = self._stored(name, item, lease.born if lease else self._clock, now)
            if verdict != "stored" and verdict != "older":
                self.local.invalidate((name,), ())
            return verdict

    def change(self, change: Change, now: float) -> Steps[Lease]:
        """Invalidate."""
        yield from ()
        with self.local.lock:
            self._clock += 1
            if change.everything:
                self._epoch = secrets.token_hex(4)
                self._leases.clear()
                self.local.clear()
            for name in change.keys:
                self._leases.pop(name, None)
            for name in (*change.tags, *(f"k{name}" for name in change.keys)):
                self._touched(name, change, now)
            self.local.invalidate(change.keys, change.tags)
            return Lease("", self._epoch, self._clock)

    def close(self) -> Steps[None]:
        """Nothing to give up."""
        yield from ()

    def _touched(self, name: str, change: Change, now: float) -> None:
        before = self._mark(name, now)
        holds = before.pruned(now, change.release)
        if change.hold:
            holds = (*(h for h in holds if h[0] != change.hold), (change.hold, now + change.hold_for))
        there = self.local.items.get(name[1:]) if change.hold and name[0] == "k" else None
        floor = max(before.floor, change.version, there.version if there is not None else 0)
        if name[0] != "k" or floor or holds:
            self._keep(name, Mark("", self._clock, floor, holds))
        else:
            self._marks.pop(name, None)

    def _release(self, name: str, hold: str, now: float) -> None:
        mark = self._marks.get(name)
        if mark is not None:
            mark.holds = mark.pruned(now, hold)

    def _mark(self, name: str, now: float) -> Mark:
        """A tag or key as it is; one that was forgotten since was invalidated with the last of them, for all we know."""
        mark = self._marks.get(name)
        if mark is None:
            holds = (("forgotten", self._lost_until),) if self._lost_until > now else ()
            return Mark("", 0, self._lost_floor, holds)
        if mark.holds:
            mark.holds = mark.pruned(now)
        return mark

    def _keep(self, name: str, mark: Mark) -> None:
        self._marks[name] = mark
        self._marks.move_to_end(name)
        if len(self._marks) > _MARKS:
            _, lost = self._marks.popitem(last=False)
            self._lost_clock = lost.clock
            self._lost_floor = max(self._lost_floor, lost.floor)
            self._lost_until = max([self._lost_until, *(u for _, u in lost.holds)])

    _lost_clock = 0

    def _stored(self, name: str, item: Item, born: int, now: float) -> Verdict:
        for record in (*item.tags, f"k{name}"):
            mark = self._mark(record, now)
            if mark.holds:
                return "held"
            if mark.clock > born or (record not in self._marks and self._lost_clock > born):
                return "fenced"
            if 0 < item.version < mark.floor:
                return "older"
        there = self.local.items.get(name)
        if there is not None and 0 < item.version < there.version and there.dead > now:
            return "older"
        self.local.store(name, item, self.local.round)
        return "stored"
