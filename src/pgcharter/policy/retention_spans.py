"""Times that rows are kept and periods that partitions last, as the charter writes them, and the calendar of both. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pgcharter.errors import UsageError

_SPAN = re.compile(r"\s*(\d+)\s*(h|hours?|d|days?|w|weeks?|mon|months?|y|years?)\s*")
_HOURS = re.compile(r"\s*(\d*)\s*(?:h|hours?)\s*")
_MONTHS = {"m": 1, "y": 12}
_SECONDS = {"h": 3600, "d": 86400, "w": 604800}
UNITS = {"month": 1, "quarter": 3, "year": 12}
"""Periods counted in months."""


@dataclass(frozen=True)
class Span:
    """A time that something is kept: months and seconds, because a month has no fixed length."""

    months: int
    seconds: int

    def before(self, now: datetime) -> datetime:
        """The moment that lies this long before another one. Before year 1 it is the beginning of that."""
        try:
            return _months(now, -self.months) - timedelta(seconds=self.seconds)
        except (OverflowError, ValueError):
            return datetime.min.replace(tzinfo=UTC)


def span(text: str, place: str = "") -> Span:
    """A span as `7y`, `18 months`, `4w`, `90d`, `48h`. Raises UsageError."""
    found = _SPAN.fullmatch(text)
    if found is None or not int(found[1]):
        raise UsageError(f"{text!r} is no time to keep something", hint='write "7y", "18 months", "4w", "90d" or "48h"', place=place)
    count, unit = int(found[1]), found[2][0]
    return Span(count * _MONTHS[unit], 0) if unit in _MONTHS else Span(0, count * _SECONDS[unit])


@dataclass(frozen=True)
class Period:
    """How long a partition lasts. Months and longer begin on their first day, weeks on Monday, hours are counted from midnight UTC."""

    unit: str
    count: int = 1

    def start(self, at: datetime, zone: ZoneInfo | None = None) -> datetime:
        """Begin of the period in which a moment lies, in UTC; days and longer begin at midnight of the zone."""
        if self.unit == "hour":
            since = datetime(1970, 1, 1, tzinfo=UTC)
            length = timedelta(hours=self.count)
            return since + (at - since) // length * length
        day = at.astimezone(zone or UTC).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if self.unit == "week":
            day -= timedelta(days=day.weekday())
        elif self.unit in UNITS:
            size = UNITS[self.unit]
            day = day.replace(day=1, month=(day.month - 1) // size * size + 1)
        return day.astimezone(UTC)

    def after(self, start: datetime, steps: int = 1, zone: ZoneInfo | None = None) -> datetime:
        """Begin of the period so many after (or before) the one that begins at `start`."""
        if self.unit == "hour":
            return start + steps * timedelta(hours=self.count)
        local = start.astimezone(zone or UTC)
        if self.unit in UNITS:
            return _months(local, steps * UNITS[self.unit]).astimezone(UTC)
        days = steps * (7 if self.unit == "week" else 1)
        return (local.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=local.tzinfo).astimezone(UTC)

    @property
    def form(self) -> str:
        """The usual name of a partition."""
        return _FORMS[self.unit]

    def words(self, start: datetime, zone: ZoneInfo | None = None) -> dict[str, str]:
        """What a partition's name can be put together from, by placeholder; hours are those of UTC, where none comes twice."""
        at = start.astimezone(UTC if self.unit == "hour" else zone or UTC)
        year, week, _ = at.isocalendar()
        return {
            "year": f"{at.year:04}", "month": f"{at.month:02}", "day": f"{at.day:02}", "hour": f"{at.hour:02}",
            "quarter": str((at.month + 2) // 3), "weekyear": f"{year:04}", "week": f"{week:02}",
        }  # fmt: skip


_FORMS = {
    "hour": "{table}_y{year}m{month}d{day}h{hour}", "day": "{table}_y{year}m{month}d{day}", "week": "{table}_y{weekyear}w{week}",
    "month": "{table}_y{year}m{month}", "quarter": "{table}_y{year}q{quarter}", "year": "{table}_y{year}",
}  # fmt: skip


def period(text: str, place: str = "") -> Period:
    """A period as `day`, `week`, `month`, `quarter`, `year` or `6 hours`. Raises UsageError."""
    if found := _HOURS.fullmatch(text):
        count = int(found[1] or 1)
        if 1 <= count <= 24 and 24 % count == 0:
            return Period("hour", count)
    elif text.strip() in ("day", "week", *UNITS):
        return Period(text.strip())
    raise UsageError(
        f"{text!r} is no period of partitions",
        hint='write "day", "week", "month", "quarter", "year", or hours that divide a day: "6 hours"',
        place=place,
    )


def _months(at: datetime, count: int) -> datetime:
    """A moment some months later, on the last day of a month that is too short."""
    year, month = divmod(at.year * 12 + at.month - 1 + count, 12)
    for day in (at.day, 30, 29, 28):
        try:
            return at.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise OverflowError("no such year")
