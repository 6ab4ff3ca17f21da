"""`[jobs]` on real servers: its tables come and go; times of schedules, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.charter import read
from pgcharter.errors import CharterError, UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import jobs
from pgcharter.policy.jobs_schedule import fields, parse
from pgcharter.policy.jobs_settings import SECTION, JobsSection


def planned(dsn: str, *chosen: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(chosen)))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = jobs.policy(JobsSection())
    assert applied(database, planned(database, wish)).proof
    assert planned(database, wish).plan.empty
    assert lose(database, planned(database))
    applied(database, planned(database))
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


def times(text: str, zone: str, since: str, count: int) -> list[str]:
    schedule, moment, found = parse(text, zone), datetime.fromisoformat(since).replace(tzinfo=UTC), []
    for _ in range(count):
        moment = schedule.after(moment)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("text", "zone", "since", "expected"),
    [
        ("30 3 * * *", "UTC", "2026-01-01", ["01-01 03:30", "01-02 03:30"]),
        ("0 0 29 2 *", "UTC", "2026-01-01", ["02-29 00:00", "02-29 00:00"]),
        ("0 12 13 * fri", "UTC", "2026-11-01", ["11-06 12:00", "11-13 12:00", "11-20 12:00", "11-27 12:00", "12-04 12:00"]),
        ("*/20 9-10 * jan-feb mon-tue", "UTC", "2026-01-05 10:10", ["01-05 10:20", "01-05 10:40", "01-06 09:00"]),
        ("every 15min", "Europe/Berlin", "2026-03-29 00:50", ["03-29 01:00", "03-29 01:15"]),
        ("weekly", "UTC", "2026-11-22 08:00", ["11-29 00:00"]),
        ("0 0 * * 7", "UTC", "2026-11-22 08:00", ["11-29 00:00"]),
        # Berlin: 02:00 becomes 03:00 on 29 March (01:00 UTC); 03:00 becomes 02:00 on 25 October (01:00 UTC).
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-28 23:40", ["03-29 00:30", "03-29 01:30", "03-29 02:30"]),
        ("30 * * * *", "Europe/Berlin", "2026-10-24 23:40", ["10-25 00:30", "10-25 01:30", "10-25 02:30"]),
        # Beirut puts clocks forward at midnight.
        ("0 0 * * *", "Asia/Beirut", "2026-03-28 12:00", ["03-28 22:00", "03-29 21:00"]),
        ("*/30 * * * *", "Australia/Lord_Howe", "2026-04-04 14:10", ["04-04 14:30", "04-04 15:00", "04-04 15:30"]),
    ],
)
def test_times(text: str, zone: str, since: str, expected: list[str]) -> None:
    assert times(text, zone, since, len(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* * 31 2 *", "*/0 * * * *", "5-1 * * * *", "every", "every 0s", "fri * * * *"]
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize("text", ["7 * * * *", "30 2 * * *", "every 7min", "0 3 1 * *"])
def test_the_last_of_what_was_missed(text: str) -> None:
    schedule = parse(text, "Europe/Berlin")
    since, upto = schedule.after(datetime(2026, 3, 1, tzinfo=UTC)), datetime(2026, 4, 20, 11, 7, tzinfo=UTC)
    last, following = schedule.last(since, upto)
    assert since <= last <= upto < following
    assert schedule.after(last) == following
    assert schedule.last(since, since + timedelta(seconds=1))[0] == since


@pytest.mark.parametrize(
    ("text", "expected"),
    [("every 15min", "*/15 * * * *"), ("every 6h", "0 */6 * * *"), ("every 1d", "0 0 * * *"), ("every 7min", None), ("daily", "0 0 * * *")],
)
def test_as_crons_fields(text: str, expected: str | None) -> None:
    assert fields(parse(text)) == expected


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('[[jobs.job]]\nname = "a"\nschedule = "daily"\n', "one of pgcharter, sql and program"),
        ('[[jobs.job]]\nname = "a"\nschedule = "dayly"\nsql = "SELECT 1"\n', "is no schedule"),
        ('[[jobs.job]]\nname = "A b"\nschedule = "daily"\nsql = "SELECT 1"\n', "is no name of a job"),
        ('[jobs]\ntime_zone = "Mars/Olympus"\n', "there is no time zone"),
        ('[jobs]\n' + '[[jobs.job]]\nname = "a"\nschedule = "daily"\nsql = "SELECT 1"\n' * 2, "two jobs are called a"),
        ('[[jobs.job]]\nname = "a"\nschedule = "daily"\nsql = "SELECT 1"\ntimeout = "1 week"\n', "is no duration"),
    ],
)  # fmt: skip
def test_what_is_refused(lines: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(lines)
    with pytest.raises(CharterError, match=says):
        read(tmp_path / "pgcharter.toml", sections=[SECTION])
