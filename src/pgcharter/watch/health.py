"""One look at a server's health, and what is remembered from look to look."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.watch import registry
from pgcharter.watch.collecting import Watcher
from pgcharter.watch.judging import Past, Sample, judge, longest, remembered, sample
from pgcharter.watch.model import Check, Collector, Health

FORMAT = "pgcharter-health-state"


def look(watcher: Watcher, checks: Iterable[Check], past: Past, now: datetime) -> tuple[Health, Past]:
    """Ask what the checks need, judge it, and what the next look has to know. Raises PgcharterError for a target that makes no sense."""
    checks = tuple(checks)
    collectors = registry.load().collectors
    facts = watcher.ask(needed(checks, collectors))
    health = judge(collectors, facts, checks, past, now, watcher.server)
    return health, remembered(past, sample(collectors, facts, checks, now, watcher.server), health, longest(checks))


def needed(checks: Iterable[Check], collectors: Mapping[str, Collector]) -> list[Collector]:
    """The collectors that checks read."""
    return [collectors[name] for name in dict.fromkeys(c.collector for c in checks)]


def read_state(path: Path) -> Past:
    """What earlier looks have left in a file; nothing where there is none. Raises UsageError for one that holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT or data["version"] != 1:
            raise ValueError
        return Past(tuple(_sample(s) for s in data["samples"]), {k: datetime.fromisoformat(v) for k, v in data["since"].items()})
    except FileNotFoundError:
        return Past()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} does not hold what an earlier look remembered ({type(error).__name__}), so growth cannot be told",
            hint=f"rm {path}, and the next look begins anew",
        ) from None


def _sample(data: Any) -> Sample:
    found: dict[str, dict[tuple[str, ...], dict[str, float]]] = {}
    for collector, labels, counters in data["counters"]:
        found.setdefault(collector, {})[tuple(labels)] = {k: float(v) for k, v in counters.items()}
    return Sample(datetime.fromisoformat(data["at"]), found, str(data["server"]))


def write_state(path: Path, past: Past) -> None:
    """Remember, whole or not at all, readable by us alone. Raises PgcharterError."""
    samples = [
        {
            "at": s.at.isoformat(),
            "server": s.server,
            "counters": [[c, labels, counters] for c, rows in s.counters.items() for labels, counters in rows.items()],
        }
        for s in past.samples
    ]
    since = {k: v.isoformat() for k, v in past.since.items()}
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "version": 1, "samples": samples, "since": since}, file, separators=(",", ":"))
        partial.replace(path)
    except OSError as error:
        raise PgcharterError(f"{path} cannot be written: {error.strerror}", hint="name another file with --state") from None


def utc_now() -> datetime:
    """The time here."""
    return datetime.now(UTC)
