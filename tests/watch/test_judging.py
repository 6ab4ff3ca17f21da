"""Judging is pure: growth, shares, forecasts, resets, what must last, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcharter.findings import Gap
from pgcharter.watch.judging import MOST, Past, Sample, judge, remembered, sample, written
from pgcharter.watch.model import Check, Collector, Facts, Health, Level

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
COLLECTOR = Collector("things", labels=("name",), gauges={"size": "x", "left": "x"}, counters={"count": "x", "all": "x"})
PLAIN = Check("x.y", "t", "things", "size", "w.", "mend {name}", "{name} is {size}", "s", warn=10, critical=20)
GROWTH = replace(PLAIN, value="count", says="{name} grew by {value}", over="5min", warn=5, critical=50)


def look(check: Check, *rows: Mapping[str, Any], past: Past | None = None, now: datetime = NOW, gaps: tuple[Gap, ...] = ()) -> Health:
    facts = {"things": Facts("things", rows, gaps)}
    return judge({"things": COLLECTOR}, facts, [check], past or Past(), now)


def seen(ago: float, **counters: float) -> Past:
    return Past((Sample(NOW - timedelta(seconds=ago), {"things": {("a",): counters}}),))


@pytest.mark.parametrize(("size", "level"), [(9, Level.OK), (10, Level.WARNING), (19.9, Level.WARNING), (20, Level.CRITICAL)])
def test_thresholds_are_reached_at_their_value(size: float, level: Level) -> None:
    assert look(PLAIN, {"name": "a", "size": size}).worst is level


@pytest.mark.parametrize(("size", "level"), [(20, Level.OK), (19, Level.WARNING), (10, Level.WARNING), (9, Level.CRITICAL)])
def test_small_values_can_be_the_bad_ones(size: float, level: Level) -> None:
    assert look(replace(PLAIN, below=True, warn=20, critical=10), {"name": "a", "size": size}).worst is level


def test_a_check_can_only_be_as_bad_as_it_is_meant() -> None:
    assert look(replace(PLAIN, level="info"), {"name": "a", "size": 99}).worst is Level.INFO


def test_of_what_is_fine_there_is_one_reading_with_the_worst_value() -> None:
    [one] = look(PLAIN, {"name": "a", "size": 1}, {"name": "b", "size": 3}, {"name": "c", "size": None}).readings
    assert (one.level, one.value, one.says, one.remedy) == (Level.OK, 3, "t", "")


def test_no_row_is_fine_and_nothing_asked_is_nothing_said() -> None:
    assert [r.level for r in look(PLAIN).readings] == [Level.OK]
    unasked = judge({"things": COLLECTOR}, {"things": Facts("things", asked=False)}, [PLAIN], Past(), NOW)
    assert (unasked.readings, unasked.gaps) == ((), ())


def test_what_cannot_be_seen_is_told_by_the_check_and_never_fine() -> None:
    found = look(PLAIN, gaps=(Gap("things", "GRANT it"),))
    assert found.readings == ()
    assert found.gaps == (Gap("x.y", "GRANT it"),)
    partly = look(PLAIN, {"name": "a", "size": 30}, gaps=(Gap("things", "GRANT it"),))
    assert partly.worst is Level.CRITICAL
    assert partly.gaps


def test_the_worst_come_first_and_many_are_counted() -> None:
    found = look(PLAIN, *({"name": f"n{i}", "size": i} for i in range(10, 40)))
    assert len(found.readings) == MOST + 1
    assert found.readings[0].says == "n39 is 39"
    assert found.readings[-1].says == f"{30 - MOST} more like these"


def test_growth_takes_a_second_look() -> None:
    found = look(GROWTH, {"name": "a", "count": 1000})
    assert found.readings == ()
    assert "second look" in found.gaps[0].why


@pytest.mark.parametrize(
    ("ago", "before", "level"),
    [
        (300, 996, Level.OK),
        (300, 995, Level.WARNING),
        (60, 995, Level.WARNING),
        (60, 900, Level.CRITICAL),
        (3000, 970, Level.OK),
        (3000, 0, Level.CRITICAL),
    ],
)
def test_growth_is_never_blown_up_and_scaled_down_over_longer_times(ago: float, before: float, level: Level) -> None:
    assert look(GROWTH, {"name": "a", "count": 1000}, past=seen(ago, count=before)).worst is level


def test_a_moment_proves_nothing() -> None:
    found = look(GROWTH, {"name": "a", "count": 1000}, past=seen(3, count=1000))
    assert found.readings == ()
    assert "look again after 30 s" in found.gaps[0].why


def test_counters_that_went_back_are_told() -> None:
    found = look(GROWTH, {"name": "a", "count": 5}, past=seen(300, count=1000))
    assert found.readings == ()
    assert "reset" in found.gaps[0].why


def test_counters_of_another_server_are_not_compared() -> None:
    """After a failover the same name leads to a server with counters of its own."""
    past = Past(tuple(replace(s, server="1/00000001") for s in seen(300, count=0).samples))
    facts = {"things": Facts("things", ({"name": "a", "count": 1000},))}
    assert judge({"things": COLLECTOR}, facts, [GROWTH], past, NOW, "1/00000001").worst is Level.CRITICAL
    other = judge({"things": COLLECTOR}, facts, [GROWTH], past, NOW, "1/00000002")
    assert other.readings == ()
    assert "second look" in other.gaps[0].why


def test_the_youngest_sample_that_is_old_enough_is_taken() -> None:
    samples = tuple(
        Sample(NOW - timedelta(seconds=ago), {"things": {("a",): {"count": n}}}) for ago, n in ((900, 0), (310, 990), (60, 999))
    )
    [one] = look(GROWTH, {"name": "a", "count": 1000}, past=Past(samples)).readings
    assert one.value == 10


SHARE = replace(GROWTH, of="all", at_least=100, unit="%", warn=10, critical=30)


@pytest.mark.parametrize(("count", "whole", "level"), [(9, 100, Level.OK), (10, 100, Level.WARNING), (90, 99, Level.OK), (0, 0, Level.OK)])
def test_a_share_is_judged_from_some_volume_on(count: int, whole: int, level: Level) -> None:
    assert look(SHARE, {"name": "a", "count": 50 + count, "all": 500 + whole}, past=seen(300, count=50, all=500)).worst is level


FORECAST = replace(PLAIN, left="left", over="1h", below=True, warn=86400, critical=3600, says="{name} lasts for {value:time}")


@pytest.mark.parametrize(
    ("size", "level", "words"),
    [
        (110, Level.CRITICAL, "lasts for 50 min"),
        (101, Level.WARNING, "lasts for 8 h"),
        (100, Level.OK, "t"),
        (90, Level.OK, "t"),
    ],
)
def test_a_forecast_says_how_long_it_lasts(size: float, level: Level, words: str) -> None:
    [one] = look(FORECAST, {"name": "a", "size": size, "left": 10}, past=seen(3000, size=100)).readings
    assert one.level is level
    assert words in one.says


def test_a_forecast_is_not_made_from_a_moment() -> None:
    found = look(FORECAST, {"name": "a", "size": 110, "left": 10}, past=seen(60, size=100))
    assert found.readings == ()
    assert "6 min apart" in found.gaps[0].why


def test_what_must_last_is_pending_first() -> None:
    check = replace(PLAIN, lasting="10min")
    facts = {"things": Facts("things", ({"name": "a", "size": 30},))}
    past, levels = Past(), []
    for minutes in (0, 5, 10, 15):
        now = NOW + timedelta(minutes=minutes)
        found = judge({"things": COLLECTOR}, facts, [check], past, now)
        past = remembered(past, sample({"things": COLLECTOR}, facts, [check], now), found, timedelta(hours=1))
        levels.append(found.worst)
        assert found.readings[0].since == NOW
    assert levels == [Level.INFO, Level.INFO, Level.CRITICAL, Level.CRITICAL]
    fine = judge({"things": COLLECTOR}, {"things": Facts("things", ({"name": "a", "size": 1},))}, [check], past, NOW)
    assert remembered(past, Sample(NOW, {}), fine, timedelta(hours=1)).since == {}


@given(st.lists(st.floats(1, 7200), min_size=1, max_size=400))
def test_samples_stay_few_and_reach_back(pauses: list[float]) -> None:
    """However often somebody looks, a window of any length finds a sample not much older than it."""
    past, now, keep = Past(), NOW, timedelta(days=2)
    times = [now]
    for pause in pauses:
        now += timedelta(seconds=pause)
        times.append(now)
        past = remembered(past, Sample(now, {}), Health((), (), 0.0), keep)
    kept = [s.at for s in past.samples]
    assert kept == sorted(kept)
    assert kept[-1] == now
    assert len(kept) <= 140
    assert all(now - at <= keep for at in kept)


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("{v:time}", {"v": 0.0031}, "3 ms"),
        ("{v:time}", {"v": 90}, "90 s"),
        ("{v:time}", {"v": 600}, "10 min"),
        ("{v:time}", {"v": 86400 * 3}, "3 d"),
        ("{v:time}", {"v": float("inf")}, "no time that could be foreseen"),
        ("{v:bytes}", {"v": 1536}, "1.5 kB"),
        ("{v:bytes}", {"v": 5 << 30}, "5 GB"),
        ("{v:count}", {"v": 1234567}, "1,234,567"),
        ("{v}", {"v": 12.34}, "12.3"),
        ("{v}", {"v": None}, "?"),
    ],
)
def test_numbers_are_written_for_people(text: str, columns: Mapping[str, Any], said: str) -> None:
    assert written(text, columns) == said
