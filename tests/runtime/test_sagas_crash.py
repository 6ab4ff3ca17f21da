"""Some of the crash matrix of sagas; all of it: `python -m tests.runtime.sagas_crash`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.runtime import sagas_crash
from tests.runtime.sagas_crash import Case, Ground

pytestmark = pytest.mark.direct("workers have servers of their own")
SOME = [
    Case("saga inside written", 1, "kill", "sync"),
    Case("saga acted", 1, "zombie", "sync"),
    Case("saga inside written", 3, "zombie", "async"),
    Case("saga checkpointed", 3, "immediate", "async"),
    Case("saga undone", 1, "reset", "sync"),
]


@pytest.fixture(scope="module")
def here() -> Iterator[Ground]:
    with sagas_crash.ground() as made:
        yield made


@pytest.mark.parametrize("case", SOME, ids=str)
def test_nothing_is_lost_or_done_twice(here: Ground, case: Case) -> None:
    assert sagas_crash.run(here, case)["cases"] == 1
