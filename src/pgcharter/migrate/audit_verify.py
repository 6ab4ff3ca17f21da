"""The trail held against its seals: what was changed, removed, put in, reordered or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from pgcharter.db import Connection
from pgcharter.migrate.audit_seals import ORIGIN, Head, hashed, of_trail
from pgcharter.policy.audit_tables import partition

_PRINT = 8
"""Bytes of a row's print in a seal."""


@dataclass(frozen=True)
class Flaw:
    """One thing that is not as it was sealed."""

    kind: str
    """changed, reordered, removed, put in, dropped (a month without a word), broken (a seal), cut (the chain), clock (turned back)."""
    sentence: str
    seal: int = 0
    number: int = 0
    """Row of the trail; 0 where it is about no single one."""


@dataclass(frozen=True)
class Verified:
    """What became of a proof."""

    seals: int
    rows: int
    """Rows sealed, months that were retired included."""
    upto: int
    unsealed: int
    """Rows after the last seal, which nothing vouches for yet."""
    flaws: tuple[Flaw, ...] = ()


def verify(conn: Connection, head: Head | None = None) -> Verified:
    """Prove the chain, and the rows by it; with `head` that the chain still holds the seal that was exported.

    Who can write everything can also make the whole chain anew: that is only seen with an exported head. Reads in one snapshot.
    """
    sql = of_trail(conn)
    flaws: list[Flaw] = []
    rows = upto = seals = 0
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute(sql["canonical"])
        there = {name for (name,) in conn.execute(sql["months"])}
        retired = {month for (month,) in conn.execute("SELECT month FROM pgcharter.audit_seals WHERE kind = 'retired'")}
        previous, number, sealed_at = ORIGIN, 0, None
        with conn.cursor(name="pgcharter_audit_seals") as cursor:
            cursor.itersize = 200
            for row in cursor.execute(sql["seals"].encode()):
                found = _Seal(*row)
                flaws += _chain(found, number, previous)
                flaws += _head(found, head)
                flaws += _clock(found, sealed_at)
                flaws += _rows(found, there, retired)
                previous, number, upto, sealed_at = bytes(found.hash), found.seal, found.upto, found.sealed_at
                rows, seals = rows + len(found.numbers), seals + 1
        strangers = conn.execute(sql["strangers"], (upto,)).fetchall()
        waiting = conn.execute(sql["waiting"], (upto,)).fetchone()
    flaws += [Flaw("put in", f"row {n} was put in after its number had been sealed", number=n) for (n,) in strangers]
    if head and head.seal > number:
        flaws.append(Flaw("cut", f"the chain ends at seal {number}, and seal {head.seal} was exported: what came after is gone", head.seal))
    return Verified(seals, rows, upto, int(waiting[0]) if waiting else 0, tuple(_once(flaws)))


@dataclass(frozen=True)
class _Seal:
    """A seal, and what its rows are now."""

    seal: int
    sealed_at: Any
    kind: str
    month: date
    upto: int
    numbers: list[int]
    prints: bytes
    digest: bytes
    previous: bytes
    hash: bytes
    note: str
    now: list[int] | None
    prints_now: bytes | None
    digest_now: bytes | None


def _chain(s: _Seal, number: int, previous: bytes) -> Iterator[Flaw]:
    if s.seal != number + 1:
        yield Flaw("cut", f"after seal {number} comes seal {s.seal}: what was between them is gone", s.seal)
    elif bytes(s.previous) != previous:
        yield Flaw("broken", f"seal {s.seal} does not follow from seal {number}: one of them is not what it was", s.seal)
    value = hashed(s.seal, s.sealed_at, s.kind, s.month, s.upto, s.numbers, bytes(s.digest), bytes(s.previous), s.note)
    if value != bytes(s.hash):
        yield Flaw("broken", f"seal {s.seal} was changed: its hash is not that of what it says", s.seal)


def _head(s: _Seal, head: Head | None) -> Iterator[Flaw]:
    if head and s.seal == head.seal and bytes(s.hash).hex() != head.hash:
        yield Flaw("broken", f"seal {s.seal} is not the one that was exported: the chain was made anew", s.seal)


def _clock(s: _Seal, before: datetime | None) -> Iterator[Flaw]:
    """The server's clock turned back by more than what keeping time does: rows of that while say wrong times."""
    if before and s.sealed_at < before - timedelta(seconds=5):
        yield Flaw("clock", f"seal {s.seal} says {s.sealed_at:%Y-%m-%d %H:%M:%S}Z and follows a later one: a clock was turned back", s.seal)


def _rows(s: _Seal, there: set[str], retired: set[date]) -> Iterator[Flaw]:
    """What is not as sealed among a seal's rows."""
    if s.kind != "rows" or (s.now is not None and bytes(s.digest_now or b"") == bytes(s.digest)):
        return
    if s.now is None and s.month in retired:
        return
    name = partition(s.month).name
    if name not in there and s.month.year >= 2000:
        yield Flaw("dropped", f"table pgcharter.{name} is gone with its rows, and nothing says that it was retired")
        return
    before, now = _by_number(s.numbers, s.prints), _by_number(s.now or [], s.prints_now or b"")
    held = {print_: n for n, print_ in before.items()}
    for n in sorted({*before, *now}):
        if n not in now:
            yield Flaw("removed", f"row {n} was removed", s.seal, n)
        elif n not in before:
            yield Flaw("put in", f"row {n} was put in after its number had been sealed", s.seal, n)
        elif before[n] != now[n]:
            other = held.get(now[n])
            yield (
                Flaw("reordered", f"row {n} holds what row {other} held", s.seal, n)
                if other
                else Flaw("changed", f"row {n} was changed", s.seal, n)
            )
    if before == now:
        yield Flaw("changed", f"rows {s.numbers[0]} to {s.numbers[-1]} are not what was sealed, or seal {s.seal} is not", s.seal)


def _by_number(numbers: list[int], prints: bytes) -> dict[int, bytes]:
    text = bytes(prints)
    return {n: text[i * _PRINT : (i + 1) * _PRINT] for i, n in enumerate(numbers)}


def _once(flaws: list[Flaw]) -> Iterator[Flaw]:
    """Each thing once: a month that is gone is found by all its seals, a row by two ways."""
    seen = set()
    for flaw in flaws:
        if (flaw.kind, flaw.sentence) not in seen:
            seen.add((flaw.kind, flaw.sentence))
            yield flaw
