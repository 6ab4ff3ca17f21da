"""A few cases of the crash matrix, and the held snapshot in short; all of them: tests/runtime/outbox_crash.py and outbox_held.py."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest
from tests.runtime import outbox_crash
from tests.runtime.outbox_crash import Case, Post
from tests.runtime.outbox_held import held


@pytest.fixture(scope="module")
def made() -> Iterator[Post]:
    with outbox_crash.post() as found:
        yield found


@pytest.mark.parametrize(
    "case",
    [
        Case("outbox delivered", "kill", "sync"), Case("feed handled", "zombie", "async"), Case("outbox rotated", "immediate", "async"),
        Case("feed retried", "reset", "sync"), Case("feed parked", "target", "sync"),
    ],
    ids=str,
)  # fmt: skip
def test_nothing_is_lost(made: Post, case: Case) -> None:
    outbox_crash.run(made, case)


def test_a_held_snapshot_costs_the_relay_nothing(database: str) -> None:
    spans = held(database, 8.0, spans=8, rate=2000)
    ring = [s.sizes[0] for s in spans]
    assert max(ring[2:]) < 4 * (256 << 10) * 1.5, "the parts of the ring and some"
    assert spans[-1].sizes[2] > 2 * spans[2].sizes[2], "the queue that is deleted from only grows"
    assert all(len(s.relay) > 100 for s in spans)
    early, late = (statistics.median(x for s in some for x in s.relay) for some in (spans[1:4], spans[5:]))
    assert late < 3 * early + 0.02
