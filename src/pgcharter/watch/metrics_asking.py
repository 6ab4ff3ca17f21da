"""Facts kept for whoever scrapes: quick questions are asked while he waits, others beside it, none twice in its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import psycopg

from pgcharter.errors import PgcharterError
from pgcharter.findings import Gap
from pgcharter.watch import health, metrics
from pgcharter.watch.collecting import Target, Watcher
from pgcharter.watch.judging import Past, judge, longest, remembered, sample
from pgcharter.watch.metrics import PREFIX, Series
from pgcharter.watch.model import KEEP, Check, Collector, Cost, Facts, Health
from pgcharter.watch.registry import Registry

HELD = 3
"""So many times as long as an answer counts it is still told when no newer one comes; then it is gone."""


@dataclass(frozen=True)
class Known:
    """What is known from one collector."""

    last: Facts
    """What it said last."""
    good: Facts
    """What it said when it last answered."""
    at: float
    """When that was, by the clock here."""
    errors: int = 0
    """Times it could not answer at all."""


class Lane:
    """Collectors of one cost class, asked on connections of their own by one thread at a time."""

    def __init__(
        self, target: Target, collectors: Iterable[Collector], told: Callable[[Mapping[str, Facts]], None], clock: Callable[[], float]
    ) -> None:
        self._watcher = Watcher(target, clock=clock)
        self._collectors = tuple(collectors)
        self._told = told
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._busy = False
        self._closed = False

    def asked(self) -> threading.Event:
        """Ask, unless somebody is asking already; the event is set when the answers are there."""
        with self._lock:
            if not self._busy and not self._closed:
                self._busy, self._done = True, threading.Event()
                threading.Thread(target=self._ask, args=(self._done,), daemon=True, name="pgcharter-metrics").start()
            return self._done

    def _ask(self, done: threading.Event) -> None:
        try:
            self._told(self._watcher.ask(self._collectors))
        except (PgcharterError, psycopg.Error) as error:
            why = error.message if isinstance(error, PgcharterError) else f"the server cannot be asked ({type(error).__name__})"
            self._told({c.name: Facts(c.name, gaps=(Gap(c.name, why),)) for c in self._collectors})
        finally:
            with self._lock:
                self._busy = False
                closed = self._closed
            done.set()
            if closed:
                self._watcher.close()

    def close(self) -> None:
        """End its sessions; where a question is still being answered, as soon as it is."""
        with self._lock:
            self._closed = True
            busy = self._busy
        if not busy:
            self._watcher.close()


class Exporter:
    """What is known of one server, for any number of readers at once."""

    def __init__(
        self, target: Target, collectors: Iterable[Collector], checks: Iterable[Check], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.checks = tuple(checks)
        self.collectors = {c.name: c for c in collectors}
        self._shapes = metrics.shapes(self.collectors.values(), self.checks)
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}
        self._past = Past()
        self._health = Health((), (), 0.0)
        self._current = True
        costs: tuple[Cost, ...] = ("fast", "medium", "slow")
        self._lanes = {cost: Lane(target, (c for c in self.collectors.values() if c.cost == cost), self._told, clock) for cost in costs}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for lane in self._lanes.values():
            lane.close()

    def ask(self, wait: float | None = None) -> None:
        """Have everything asked whose time is up, and wait for it, so many seconds at most; None: to the end."""
        end = None if wait is None else time.monotonic() + wait
        events = {cost: lane.asked() for cost, lane in self._lanes.items()}
        in_time = {cost: event.wait(None if end is None else max(end - time.monotonic(), 0.0)) for cost, event in events.items()}
        self._current = in_time["fast"]
        self._judge()

    @property
    def reached(self) -> bool:
        """Whether the server answered last, and in time."""
        reach = self._known.get("reach")
        return self._current and reach is not None and bool(reach.last.rows) and not any(row.get("down") for row in reach.last.rows)

    def _told(self, found: Mapping[str, Facts]) -> None:
        with self._lock:
            for name, facts in found.items():
                self._known[name] = self._newer(self._known.get(name), facts)

    def _newer(self, old: Known | None, facts: Facts) -> Known:
        if old is not None and old.last is facts:
            return old
        answered = facts.rows or not facts.gaps
        if answered or old is None:
            return Known(facts, facts, self._clock(), (old.errors if old else 0) + (not answered))
        return Known(facts, old.good, old.at, old.errors + 1)

    def series(self) -> Iterator[Series]:
        """All that is known now, with what is to be said of the asking itself."""
        began = time.perf_counter()
        with self._lock:
            known, now = dict(self._known), self._clock()
        for name, one in known.items():
            if one.good.asked and now - one.at <= HELD * max(KEEP[self.collectors[name].cost], KEEP["medium"]):
                yield from metrics.series(self._shapes[name], one.good)
        yield from self._of_itself(known, now)
        yield _one("exposition_seconds", "Seconds that writing this down took", time.perf_counter() - began)

    def _of_itself(self, known: Mapping[str, Known], now: float) -> Iterator[Series]:
        from pgcharter import __version__

        yield _one("up", "1 when the server answers", float(self.reached))
        yield Series(f"{PREFIX}build_info", "gauge", "Version of what tells this", ("version",), {(__version__,): 1.0})
        asked = {name: one for name, one in known.items() if one.last.asked}
        said: dict[str, tuple[str, Callable[[Known], float]]] = {
            "collector_up": ("1 when a collector could answer", lambda k: float(bool(k.last.rows or not k.last.gaps))),
            "collector_gaps": ("Things that a collector could not see", lambda k: float(len(k.last.gaps))),
            "collector_seconds": ("Seconds that asking took last", lambda k: k.last.seconds),
            "collector_age_seconds": ("Age of the values that are told", lambda k: now - k.at),
        }
        for name, (text, value) in said.items():
            yield Series(f"{PREFIX}{name}", "gauge", text, ("collector",), {(n,): value(k) for n, k in asked.items()})
        errors: dict[metrics.Labels, float] = {(n,): float(k.errors) for n, k in asked.items()}
        yield Series(f"{PREFIX}collector_errors_total", "counter", "Times a collector could not answer", ("collector",), errors)

    def _judge(self) -> None:
        with self._lock:
            now = datetime.now(UTC)
            if self._past.samples and (now - self._past.samples[-1].at).total_seconds() < 1:
                return
            facts = {name: one.last for name, one in self._known.items()}
            self._health = judge(self.collectors, facts, self.checks, self._past, now)
            self._past = remembered(self._past, sample(self.collectors, facts, self.checks, now), self._health, longest(self.checks))

    def health(self, only: tuple[str, ...] = ()) -> Health:
        """What the checks say of what was asked last, with growth since earlier looks; of the families or ids `only`."""
        found = self._health
        if not only:
            return found
        of = [c for c in self.checks if c.id in only or c.family in only]
        names = {c.id for c in of} | {c.collector for c in of}
        return Health(tuple(r for r in found.readings if r.check in of), tuple(g for g in found.gaps if g.what in names), found.seconds)


def _one(name: str, text: str, value: float) -> Series:
    return Series(PREFIX + name, "gauge", text, (), {(): value})


def needed(checks: Iterable[Check], known: Registry) -> list[Collector]:
    """What is exported: whether the server answers, what these checks read, and what is there only to be counted."""
    wanted = {"reach", *(c.name for c in health.needed(checks, known.collectors))}
    read = {c.collector for c in known.checks.values()}
    return [c for c in known.collectors.values() if c.name in wanted or c.name not in read]
