"""When a job is due: cron's five fields in a time zone, or every so often; what clocks that are put forward and back do to that.

The rule for clocks that change: a job whose hour is `*` follows real time, every hour of the day that there is. A job at fixed hours runs
once a day for each of its times: one that does not exist (clocks put forward) runs when the gap ends, one that exists twice the first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgcharter.errors import UsageError
from pgcharter.measures import seconds

WORDS = {
    "hourly": "0 * * * *", "daily": "0 0 * * *", "midnight": "0 0 * * *", "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *", "yearly": "0 0 1 1 *", "annually": "0 0 1 1 *",
}  # fmt: skip
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PIECE = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_HINT = 'write schedule = "30 3 * * 1-5" (minute, hour, day, month, day of the week), "daily", or "every 15min"'
_YEARS = 9
"""How far a date is looked for: 29 February may be eight years away."""


@dataclass(frozen=True)
class Schedule:
    """Times at which something is due."""

    text: str
    zone: str = "UTC"
    every: float = 0
    """Seconds between two times, counted from 1970 on, so that all schedulers agree; 0: cron's fields decide."""
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    """Sunday is 0."""
    real: bool = False
    """Whether the hour is `*`: it follows real time."""
    either: bool = False
    """Whether day of the month and of the week are both given: one of them is enough, as cron has it."""

    def after(self, moment: datetime) -> datetime:
        """The first time after a moment, in UTC."""
        if self.every:
            return datetime.fromtimestamp((moment.timestamp() // self.every + 1) * self.every, UTC)
        zone = ZoneInfo(self.zone)
        for day in _dates(moment.astimezone(zone).date()):
            if self._on(day):
                found = next((t for t in self._times(day, zone) if t > moment), None)
                if found:
                    return found
        raise UsageError(f"{self.text!r} never comes", hint=_HINT)

    def last(self, since: datetime, upto: datetime) -> tuple[datetime, datetime]:
        """Of the times from `since` (one of them) on, the last that is not after `upto`, and the one behind it."""
        if self.every:
            end = self.after(upto)
            return max(since, end - timedelta(seconds=self.every)), end
        if upto - since > timedelta(days=3):  # long away: begin near the end, unless nothing is due there
            near = self.after(upto - timedelta(days=2))
            since = near if near <= upto else since
        found, following = since, self.after(since)
        while following <= upto:
            found, following = following, self.after(following)
        return found, following

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        monthly, weekly = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return monthly or weekly if self.either else monthly and weekly

    def _times(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        if not self.real:
            for hour in self.hours:
                for minute in self.minutes:
                    yield _moment(datetime.combine(day, time(hour, minute)), zone)
            return
        moment = _moment(datetime.combine(day, time()), zone)
        while (here := moment.astimezone(zone)).date() == day:
            if here.minute in self.minutes:
                yield moment
            moment += timedelta(minutes=1)


def parse(text: str, zone: str = "UTC") -> Schedule:
    """A schedule from its text. Raises UsageError."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"there is no time zone {zone!r}", hint='write time_zone = "Europe/Berlin"; pip install tzdata') from None
    words = text.strip().lower()
    if words.startswith("every "):
        step = seconds(words.removeprefix("every "))
        if step < 1:
            raise UsageError(f"{text!r} is more often than every second", hint=_HINT)
        return Schedule(text, zone, every=step)
    fields = WORDS.get(words.removeprefix("@"), words).split()
    if len(fields) != 5:
        raise UsageError(f"{text!r} is no schedule", hint=_HINT)
    minutes, hours, days, months, weekdays = (_field(f, *_FIELDS[n]) for n, f in enumerate(fields))
    made = Schedule(
        text, zone, 0, minutes, hours, days, months, tuple(sorted({d % 7 for d in weekdays})),
        real=fields[1] == "*", either=not (fields[2].startswith("*") or fields[4].startswith("*")),
    )  # fmt: skip
    made.after(datetime(2024, 1, 1, tzinfo=UTC))
    return made


def fields(schedule: Schedule) -> str | None:
    """A schedule as cron's five fields; None for an interval that they cannot say."""
    if not schedule.every:
        text = schedule.text.strip().lower()
        return WORDS.get(text.removeprefix("@"), text)
    minutes, rest = divmod(schedule.every, 60)
    if rest or not minutes:
        return None
    if minutes < 60:
        return f"*/{minutes:.0f} * * * *" if 60 % minutes == 0 else None
    hours, rest = divmod(minutes, 60)
    if rest or 24 % hours:
        return None
    return "0 0 * * *" if hours == 24 else f"0 */{hours:.0f} * * *"


def _dates(first: date) -> Iterator[date]:
    first -= timedelta(days=1)  # a gap at midnight moves a time to the next day
    return (first + timedelta(days=n) for n in range(366 * _YEARS))


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which clocks show a time for the first time; for one that they leave out, the end of the gap."""
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    before, low, high = wall.replace(tzinfo=zone).utcoffset(), -24 * 60, 0
    while high - low > 1:
        middle = (low + high) // 2
        same = (found + timedelta(minutes=middle)).astimezone(zone).utcoffset() == before
        low, high = (middle, high) if same else (low, middle)
    return found + timedelta(minutes=high)


def _field(text: str, name: str, least: int, most: int) -> tuple[int, ...]:
    found: set[int] = set()
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            raise UsageError(f"{text!r} is no {name}", hint=_HINT)
        star, first, last, step = match.groups()
        low = least if star else _number(first, name, least, most)
        high = most if star else _number(last, name, least, most) if last else most if step else low
        if low > high or step == "0":
            raise UsageError(f"{piece!r} is no range of a {name}", hint=_HINT)
        found |= set(range(low, high + 1, int(step or 1)))
    return tuple(sorted(found))


def _number(word: str, name: str, least: int, most: int) -> int:
    names = _MONTHS if name == "month" else _DAYS if name == "day of the week" else ()
    value = names.index(word) + (name == "month") if word in names else int(word) if word.isdecimal() else -1
    if not least <= value <= most:
        raise UsageError(f"{word!r} is no {name}", hint=_HINT)
    return value
