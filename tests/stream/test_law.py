"""One history of each kind of trouble; many at random: `python -m tests.stream.law N`."""

from __future__ import annotations

import random

from tests.stream import law

HISTORY: list[law.Step] = [
    ("init", "later"), ("dml", 1), ("redis", "save"), ("kill",), ("ddl", law.DDL[2]), ("dml", 2), ("reset", "pg", "public.t"),
    ("redis", "back"), ("pause", "files"), ("dml", 3), ("reset", "redis", None), ("resume", "files"), ("dml", 4),
]  # fmt: skip


def test_whatever_happens_copies_are_right() -> None:
    with law.grounds() as at:
        assert law.run(at, HISTORY) == ""


def test_histories_can_be_told_again() -> None:
    assert law.history(random.Random(7)) == law.history(random.Random(7))
    assert law.history(random.Random(7)) != law.history(random.Random(8))
