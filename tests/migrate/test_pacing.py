"""`[migrate.pace]` and the timeouts of `[migrate]`: what the charter may say, and where it says it wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgcharter import charter
from pgcharter.errors import CharterError
from pgcharter.migrate.pacing import PaceSection, pace
from pgcharter.migrate.settings import MIGRATE, MigrateSection
from pgcharter.migrate.terms import Pace


def section(folder: Path, text: str) -> MigrateSection:
    (folder / "pgcharter.toml").write_text(text)
    return charter.read(folder / "pgcharter.toml", sections=[MIGRATE], name="pgcharter.toml").section(MIGRATE)


def test_a_charter_that_says_nothing_means_what_the_runner_does_anyway() -> None:
    assert pace(PaceSection()) == Pace()


def test_every_key_reaches_the_backfill(tmp_path: Path) -> None:
    text = """
[migrate.pace]
batch = "1s"
rest = "20ms"
largest = 900
replica_lag = "1.5GB"
replica_delay = "2min"
archive_queue = 7
wal_rate = "32MB"
lock_waits = 0
dead_rows = 25
vacuums = true
query = "SELECT count(*) > 9 FROM queue"
longest = "8h"
"""
    expected = Pace(
        batch=1.0, rest=0.02, largest=900, replica_lag=3 << 29, replica_seconds=120.0, archive_queue=7, wal_rate=32 << 20, lock_waits=0,
        dead_rows=0.25, vacuums=True, query="SELECT count(*) > 9 FROM queue", longest=28800.0,
    )  # fmt: skip
    assert pace(section(tmp_path, text).pace) == expected
    assert set(text.split()) >= set(PaceSection.__dataclass_fields__)


def test_the_words_of_the_command_line_change_the_work_and_not_the_limits() -> None:
    normal, slow, fast = (pace(PaceSection(), word) for word in ("normal", "slow", "fast"))
    assert slow.batch / (slow.batch + slow.rest) == pytest.approx(0.2)
    assert (slow.batch, fast.batch, fast.rest) == (pytest.approx(0.1), pytest.approx(0.9), 0.0)
    assert replace(slow, batch=normal.batch, rest=normal.rest) == replace(fast, batch=normal.batch, rest=normal.rest) == normal


@pytest.mark.parametrize(
    ("text", "message", "hint", "line"),
    [
        ('[migrate.pace]\nbatch = "soon"', "key \"batch\": 'soon' is no duration", "write 500ms", 2),
        ('[migrate.pace]\n\nreplica_lag = "5 apples"', "key \"replica_lag\": '5 apples' is no size", "64MB", 3),
        ("[migrate.pace]\nlock_waits = -1", 'key "lock_waits": it is -1, and must not be below 0', "", 2),
        ("[migrate.pace]\nlargest = 0", 'key "largest": it is 0, and must not be below 1', "", 2),
        ('[migrate.pace]\nlock_waits = "5"', 'key "lock_waits" must be a whole number, not "5"', "", 2),
        ("[migrate.pace]\nreplica_lags = 1", 'there is no key "replica_lags" in [migrate.pace]', "replica_lag", 2),
        ("[migrate]\npace = 3", "[migrate.pace] must be a table, not 3", "", 2),
        ('[migrate]\nalone_timeout = "long"', "key \"alone_timeout\": 'long' is no duration", "", 2),
        ('[migrate]\nlock_timeout = "-2s"', "key \"lock_timeout\": '-2s' is no duration", "", 2),
        ('[migrate]\nwindow = "at night"', "key \"window\": the maintenance window 'at night' cannot be understood", "sat,sun", 2),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, message: str, hint: str, line: int) -> None:
    with pytest.raises(CharterError) as caught:
        section(tmp_path, text)
    assert (caught.value.message, caught.value.place) == (message, f"pgcharter.toml:{line}")
    assert hint in caught.value.hint
