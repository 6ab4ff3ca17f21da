"""The small form of `python -m tests.stream.reconcile_crash`."""

from __future__ import annotations

from tests.stream.reconcile_crash import Case, attack, ground


def test_killed_cut_off_and_stopped() -> None:
    with ground() as server:
        for case in (Case("reconcile logged", "kill"), Case("reconcile written", "reset"), Case("batch written", "immediate")):
            attack(server, case)
