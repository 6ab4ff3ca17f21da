"""A small part of the crash matrix; all of it: `python -m tests.stream.crash`."""

from __future__ import annotations

import pytest
from tests.stream import crash
from tests.stream.crash import Case


@pytest.mark.slow
def test_some_cases() -> None:
    with crash.ground() as server:
        for case in (
            Case("sync spilled", "kill"),
            Case("sync chunk written", "immediate"),
            Case("sync written", "reset", 2),
            Case("sync offered", "kill", 1, "triggers"),
        ):
            crash.run(server, case)
