"""Some of the crash matrix of feeds; all of it: `python -m tests.runtime.feeds_crash`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.runtime.feeds_crash import Case, Ground, ground

FEW = (
    Case("feed handled", "kill", "inside", "sync"),
    Case("feed moved", "kill", "inside", "async"),
    Case("feed handled", "terminate", "inside", "sync"),
    Case("feed parked", "immediate", "outside", "async"),
    Case("feed read", "down", "outside", "sync"),
)


@pytest.fixture(scope="module")
def grounds() -> Iterator[Ground]:
    with ground() as made:
        yield made


@pytest.mark.parametrize("case", FEW, ids=lambda c: f"{c.point}, {c.end}, {c.way}, {c.colour}")
def test_few(grounds: Ground, case: Case) -> None:
    assert grounds.run(case) != "not reached"
