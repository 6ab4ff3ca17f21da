"""What is wrong → what is told, to whom, and what is remembered of it. Pure.

Readings of one check are one matter: it is told when it begins, gets worse, goes on for long, and is over; never twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from pgcharter.measures import seconds
from pgcharter.watch.model import Health, Level
from pgcharter.watch.notify_settings import NotifyTable, SilenceTable

News = Literal["new", "worse", "still", "over"]
MOST = 5
"""Sentences of one matter that are told."""


@dataclass(frozen=True)
class Matter:
    """What one check says is wrong."""

    check: str
    title: str
    level: Level
    says: tuple[str, ...]
    remedy: str
    since: datetime


@dataclass(frozen=True)
class Told:
    """What somebody was told of a matter last."""

    level: Level
    at: datetime
    since: datetime
    title: str = ""
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """What is remembered from round to round, and over a restart."""

    since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when each matter is so."""
    told: Mapping[str, Mapping[str, Told]] = field(default_factory=dict)
    """By who was told, by check."""


@dataclass(frozen=True)
class Notice:
    """One matter as it is told."""

    news: News
    matter: Matter

    @property
    def sentence(self) -> str:
        """In a line."""
        words = {
            "new": self.matter.level.word,
            "worse": f"now {self.matter.level.word}",
            "still": f"still {self.matter.level.word}",
            "over": "over",
        }
        return f"{words[self.news]}: {'; '.join(self.matter.says)}"


def matters(health: Health, state: State, now: datetime) -> dict[str, Matter]:
    """What is wrong, by check. What waits for its time (`lasting`) is not wrong yet, and what can only be INFO is."""
    found: dict[str, Matter] = {}
    for reading in health.readings:
        if reading.level is Level.OK or (reading.level is Level.INFO and reading.check.level != "info"):
            continue
        since = state.since.get(reading.check.id, reading.since or now)
        old = found.get(reading.check.id)
        if old is None:
            found[reading.check.id] = Matter(reading.check.id, reading.check.title, reading.level, (reading.says,), reading.remedy, since)
        else:
            says = (*old.says, reading.says) if len(old.says) < MOST else old.says
            found[reading.check.id] = replace(old, says=says, level=max(old.level, reading.level))
    return found


def judged(health: Health) -> frozenset[str]:
    """Checks that were answered: of the others nobody knows whether it is over."""
    return frozenset(r.check.id for r in health.readings) - {g.what for g in health.gaps}


def remembered(state: State, found: Mapping[str, Matter], answered: frozenset[str]) -> State:
    """Since when what is wrong is so; what could not be seen stays as it was."""
    kept = {check: at for check, at in state.since.items() if check in found or check not in answered}
    return replace(state, since={**{check: m.since for check, m in found.items()}, **kept})


def due(
    who: NotifyTable, found: Mapping[str, Matter], answered: frozenset[str], silences: Iterable[SilenceTable], state: State, now: datetime
) -> list[Notice]:
    """What one is told now, the gravest first."""
    silent = [s for s in silences if s.until > now]
    told = state.told.get(who.name, {})
    notices = [n for n in (_of(who, m, told.get(m.check), now) for m in found.values() if not _quiet(m.check, silent)) if n]
    over = [
        Notice("over", Matter(check, old.title, old.level, old.says, "", old.since))
        for check, old in told.items()
        if check not in found and check in answered
    ]
    return sorted(notices, key=lambda n: -n.matter.level) + over


def _quiet(check: str, silences: Iterable[SilenceTable]) -> bool:
    return any(_is(check, s.only) for s in silences)


def _is(check: str, words: Iterable[str]) -> bool:
    return any(word in (check, check.partition(".")[0]) for word in words)


def _of(who: NotifyTable, matter: Matter, old: Told | None, now: datetime) -> Notice | None:
    if matter.level < Level[who.level.upper()] or (who.only and not _is(matter.check, who.only)):
        return None
    if old is None:
        return Notice("new", matter) if (now - matter.since).total_seconds() >= seconds(who.after) else None
    if matter.level > old.level:
        return Notice("worse", matter)
    again = seconds(who.repeat)
    return Notice("still", matter) if again and (now - old.at).total_seconds() >= again else None


def after_telling(state: State, who: str, notices: Iterable[Notice], now: datetime) -> State:
    """What is remembered when somebody was told."""
    told = dict(state.told.get(who, {}))
    for notice in notices:
        if notice.news == "over":
            told.pop(notice.matter.check, None)
        else:
            told[notice.matter.check] = Told(notice.matter.level, now, notice.matter.since, notice.matter.title, notice.matter.says)
    return replace(state, told={**state.told, who: told})
