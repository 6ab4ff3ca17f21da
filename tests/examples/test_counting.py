"""Progress where nobody watches: a first line at once, then one now and then, the last one always; rate and remaining time are right."""

from __future__ import annotations

import pytest

from pgcharter.cli.counting import counting


def test_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with counting("loading", clock=lambda: now[0]) as advance:
        for done, at in ((1_000, 1.0), (2_000, 2.0), (3_000, 3.0), (4_000, 4.0), (5_000, 5.0), (6_000, 6.0)):
            now[0] = at
            advance("orders", done, 6_000)
    assert capsys.readouterr().err.splitlines() == [
        "loading: 1,000 of 6,000 orders",
        "loading: 4,000 of 6,000 orders, 1,000/s, 2 s left",
        "loading: 6,000 of 6,000 orders, 1,000/s",
    ]
