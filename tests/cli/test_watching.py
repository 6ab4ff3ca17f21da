"""What a run tells as it goes."""

from __future__ import annotations

from typing import get_args

import pytest

from pgcharter.cli.watching import Voice
from pgcharter.migrate import watch
from pgcharter.migrate.model import Migration, Unit

M = Migration("001", "fill")
TOLD: tuple[tuple[watch.Event, str], ...] = (
    (watch.RunnerWaits((), 3.2, 600), "another runner is at work, waited 3 of 600 s: somebody"),
    (watch.Begun(M, "up", 3, 1), "001 fill goes on with part 2 of 3"),
    (watch.UnitBegun(M, 0, Unit()), ""),
    (watch.Waits(M, 0, 1.25, (watch.Backend(7, "ann"),)), "001 fill has waited 1.2 s for pid 7 (user ann)"),
    (watch.Retries(M, 0, 2, 0.5, 90, "lock timeout", ()), "001 fill gave way (lock timeout) and tries again in 0.5 s, for 90.0 s at most"),
    (watch.Terminated(watch.Backend(7, "ann")), "ended, because it stood in the way: pid 7 (user ann)"),
    (watch.Advances(M, 0, "CREATE INDEX", "building index", "t_i", 1, 4, "blocks"), "001 fill: CREATE INDEX t_i, building index 25 %"),
    (
        watch.BatchDone(M, 0, "app.t", 1200, 5000, 10000, 500, 0.3, 2500, 300),
        "001 fill: app.t 50 % (1,200 rows changed), 2,500 rows/s, 5 min 0 s left",
    ),
    (watch.BatchDone(M, 0, "app.t", 1200, 5000, None, 500, 0.3, 2500, None), "001 fill: app.t (1,200 rows changed), 2,500 rows/s"),
    (watch.Paused(M, 0, ("a replica lags",)), "001 fill pauses: a replica lags"),
    (watch.Resumed(M, 0, 12), "001 fill goes on after 12 s"),
    (watch.UnitDone(M, 1, 0.1, "its index is there and valid"), "001 fill, part 2: its index is there and valid"),
    (watch.Finished(M, "up", 0.25), "✔ 001 fill  250 ms"),
    (watch.Planned(M, 1, Unit(("SELECT 1",)), ("SELECT 1", "-- the ledger")), "SELECT 1; -- the ledger"),
    (watch.Note("odd", "mend it"), "odd (mend it)"),
)


@pytest.mark.parametrize(("event", "text"), TOLD, ids=lambda v: type(v).__name__ if not isinstance(v, str) else "")
@pytest.mark.parametrize("live", [True, False])
def test_every_event_has_its_words(
    event: watch.Event, text: str, live: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    voice = Voice()
    voice.live, voice._told = live, float("-inf")
    voice(event)
    said = "".join(capsys.readouterr()).replace("\r\x1b[2K", "").strip()
    assert " ".join(said.split()) == " ".join(text.split())


def test_no_event_is_left_out() -> None:
    assert {type(event) for event, _ in TOLD} == set(get_args(watch.Event))


def test_progress_is_told_now_and_then_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Voice()
    voice.live = False
    for _ in range(100):
        voice(watch.Waits(M, 0, 1.0, ()))
    assert capsys.readouterr().err == ""
