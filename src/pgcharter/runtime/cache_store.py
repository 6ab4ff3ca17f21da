"""What a cache asks of the place where values are kept, and how a record is laid out there.

Four kinds of records. The **clock** of a namespace: its epoch (random; another one makes everything before worthless) and a number that
every invalidation raises. A **tag**: the clock when it was last invalidated, the lowest version that a fill may have, and the holds on it.
A **value**: the clock when its loader was allowed to begin (`born`), its version, its times, its tags. A **lease**: who may fill a value.

What makes a fill safe, whatever happens between:

- A loader begins after its lease is written; a fill is stored only while that lease stands, compared and set in one step. Invalidating a
key
  removes value and lease. A lease that ran out, was evicted or went with its server refuses the fill.
- A value is good while each of its tags is there, of this epoch, without holds, and `tag.clock <= value.born`. It is so checked by every
  read, in the same round trip as the value, so a tag that becomes known only after loading is safe as well. Eviction is safe: a tag that is
  missing makes the value a miss, and when made anew it has the clock of then; a fill that was born before that is refused, since nobody
  knows what it missed (unless the clock has not moved at all).
- A **hold** on a tag or key says that somebody is about to commit, or that replicas may still lag: readers neither use nor fill what it is
on.

Reading tags with the value (rather than deleting the members of a tag's set by script) makes an invalidation cost one write however
many values have the tag, leaves no sets to grow or be evicted, and costs a hit 30 bytes a tag but no round trip.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pgcharter.errors import PgcharterError
from pgcharter.runtime.colours import Steps


class StoreError(PgcharterError):
    """The cache server did not answer, or not as it should. What was asked of it may have been done."""


class _Encoded:
    def __repr__(self) -> str:
        return "<encoded>"


ENCODED: Any = _Encoded()
"""In place of a value that is kept as bytes only."""


@dataclass(slots=True, eq=False)
class Item:
    """A value as it is kept. Times are seconds since 1970."""

    payload: bytes
    flag: str = "0"
    tags: tuple[str, ...] = ()
    """Records that it is compared with."""
    version: int = 0
    """Row version or log position that it was read at; 0: none."""
    expires: float = float("inf")
    """When it is no longer fresh. What may then be served on an error is kept longer."""
    refresh: float = float("inf")
    """When it is loaded anew in the background."""
    dead: float = float("inf")
    """When it is dropped."""
    value: Any = field(default=ENCODED, repr=False)
    """The object itself where nobody can change it."""
    fresh: float = 0.0
    """Until when one process may serve it without looking further."""

    @property
    def size(self) -> int:
        """Bytes that it takes up, about."""
        return len(self.payload) + 250 + 40 * len(self.tags)


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to fill a value: what the store needs to recognize it by, and the clock when it was given."""

    token: str
    epoch: str
    born: int
    stamp: int = 0
    """Memcached's number of the record that it may replace."""


@dataclass(frozen=True, slots=True)
class Leased:
    """What came of asking for a lease."""

    state: Literal["won", "taken", "held", "value"]
    """`taken`: `holder` loads it already. `held`: somebody is about to commit. `value`: it is there by now."""
    lease: Lease | None = None
    holder: str = ""
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An invalidation, or the announcement of one."""

    keys: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    version: int = 0
    """Fills of lower versions are refused from now on."""
    release: str = ""
    """Hold that ends with it."""
    hold: str = ""
    """Hold that begins with it."""
    hold_for: float = 0.0
    everything: bool = False
    """A new epoch: nothing of before is good any more."""


Verdict = Literal["stored", "fenced", "older", "held"]


class Store(Protocol):
    """A place for values. All calls are steps of `runtime.colours`, and raise StoreError."""

    watched: bool
    """Whether `listen` tells of invalidations elsewhere."""

    def read(self, name: str, tags: Sequence[str]) -> Steps[Item | None]:
        """A value that is good, fresh or not. `tags` are those that it is expected to have."""
        ...

    def lease(self, name: str, tags: Sequence[str], token: str, seconds: float, now: float, refresh: bool) -> Steps[Leased]:
        """Ask to fill a value; `refresh`: even though there is one that is good."""
        ...

    def fill(self, name: str, lease: Lease, item: Item, now: float) -> Steps[Verdict]:
        """Store what was loaded, if the lease still stands and no tag was touched since. The lease ends."""
        ...

    def give_up(self, name: str, lease: Lease) -> Steps[None]:
        """End a lease without a value."""
        ...

    def put(self, name: str, item: Item, now: float, release: str = "", lease: Lease | None = None) -> Steps[Verdict]:
        """Store a value that its caller vouches for, ending the leases on it; `lease`: with the clock of then."""
        ...

    def change(self, change: Change, now: float) -> Steps[Lease]:
        """Invalidate. Gives the clock after it."""
        ...

    def close(self) -> Steps[None]:
        """Give up connections."""
        ...


Hold = tuple[str, float]
"""Who holds, and until when."""


@dataclass(slots=True)
class Mark:
    """A tag, or what stands for a key that was invalidated with a version or a hold."""

    epoch: str
    clock: int
    floor: int = 0
    holds: tuple[Hold, ...] = ()

    def pruned(self, now: float, without: str = "") -> tuple[Hold, ...]:
        """Holds that have not run out."""
        return tuple(h for h in self.holds if h[1] > now and h[0] != without)


def good(epoch: str, born: int, marks: Sequence[Mark | None]) -> bool:
    """Whether a value is good beside the tags it depends on."""
    return all(m is not None and m.epoch == epoch and m.clock <= born and not m.holds for m in marks)


# Layout of records, in text of fixed width so that a Lua script compares numbers of 64 bits as text.
#   value  V epoch(8) born(16) version(16) expires(12) refresh(12) flag(1) tags(4) tag(24)… payload
#   mark   X epoch(8) clock(16) floor(16) [hold(16) until(12)]…
HEADER = 70
_TAG = 24
_FOREVER = 0xFFFFFFFFFFFF


def _millis(moment: float) -> int:
    return _FOREVER if moment == float("inf") else min(int(moment * 1000), _FOREVER)


def body(item: Item) -> bytes:
    """A value from its version on: what stands before is the store's to say."""
    head = f"{item.version:016x}{_millis(item.expires):012x}{_millis(item.refresh):012x}{item.flag}{len(item.tags):04x}{''.join(item.tags)}"
    return head.encode() + item.payload


def head(epoch: str, born: int) -> bytes:
    """What stands before the body of a value."""
    return f"V{epoch}{born:016x}".encode()


def parsed(record: bytes) -> tuple[str, int, Item]:
    """Epoch, born and value of a record that begins with V. Raises ValueError for what is none."""
    text = record[:HEADER].decode("ascii")
    end = HEADER + int(text[66:70], 16) * _TAG
    names = record[HEADER:end].decode("ascii")
    expires, refresh = int(text[41:53], 16), int(text[53:65], 16)
    item = Item(
        record[end:],
        text[65],
        tuple([names[n : n + _TAG] for n in range(0, len(names), _TAG)]),
        int(text[25:41], 16),
        float("inf") if expires == _FOREVER else expires / 1000,
        float("inf") if refresh == _FOREVER else refresh / 1000,
    )
    return text[1:9], int(text[9:25], 16), item


def mark_of(record: bytes | None) -> Mark | None:
    """The mark in a record; None for what is none."""
    if not record or record[:1] != b"X":
        return None
    text = record.decode("ascii")
    holds = tuple((text[n : n + 16], int(text[n + 16 : n + 28], 16) / 1000) for n in range(41, len(text), 28))
    return Mark(text[1:9], int(text[9:25], 16), int(text[25:41], 16), holds)


def written_mark(mark: Mark) -> bytes:
    """A mark as a record."""
    return f"X{mark.epoch}{mark.clock:016x}{mark.floor:016x}{''.join(f'{h}{_millis(u):012x}' for h, u in mark.holds)}".encode()


Now = Callable[[], float]
wall: Now = time.time
TAG_KEPT = 86_400.0
"""Seconds that a tag is kept at least; longer where a value with it is. One that is gone makes values with it misses, nothing worse."""
