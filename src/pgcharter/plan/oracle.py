"""What servers have shown of each form of statement (`locks.json`, written by tools/locks.py), read when first asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from pgcharter.catalog.effect import Mode


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one form did on one major version, by role (see `surroundings`)."""

    locks: Mapping[str, Mode | None]
    """Strongest lock for each role that was there; None where nothing was locked."""
    rewrites: frozenset[str]
    scans: frozenset[str]
    transactional: bool


@cache
def _data() -> Mapping[str, object]:
    return dict(json.loads(resources.files("pgcharter.plan").joinpath("locks.json").read_bytes()))


@cache
def majors() -> tuple[int, ...]:
    """The major versions that were asked, in order."""
    return tuple(_data()["majors"])  # type: ignore[arg-type]


@cache
def volatilities() -> Mapping[str, str]:
    """Volatility of PostgreSQL's own functions by name: the worst of all functions of that name (immutable, stable, volatile)."""
    words: Mapping[str, str] = _data()["functions"]  # type: ignore[assignment]
    return {name: kind for kind, names in words.items() for name in names.split()}


def all_keys() -> tuple[str, ...]:
    """Keys of all forms, sorted."""
    return tuple(_forms())


def _forms() -> Mapping[str, int | list[int | None]]:
    return _data()["forms"]  # type: ignore[return-value]


@lru_cache(maxsize=16384)
def outcome(key: str, major: int) -> Outcome | None:
    """What the form `key` did on `major` (of those asked the newest up to it); None where no server accepted it there."""
    entry = _forms().get(key)
    known = majors()
    nearest = max((m for m in known if m <= major), default=known[0])
    number = entry[known.index(nearest)] if isinstance(entry, list) else entry
    return None if number is None else _outcome(number)


@cache
def _outcome(number: int) -> Outcome:
    raw = _data()["outcomes"][number]  # type: ignore[index]
    locks = {role: Mode(mode) if mode else None for role, mode in raw["locks"].items()}
    return Outcome(locks, frozenset(raw.get("rewrites", ())), frozenset(raw.get("scans", ())), raw.get("transactional", True))


@lru_cache(maxsize=4096)
def matching(pattern: str) -> tuple[str, ...]:
    """Keys that a pattern could mean; `*` stands for what is not known of the statement.

    Of a sort of table that is not known it is taken for granted that it is not foreign, and that ONLY makes no difference.
    """
    if "*" not in pattern:
        return (pattern,) if pattern in _forms() else ()
    fits = re.compile(".*".join(re.escape(part) for part in pattern.split("*"))).fullmatch
    return tuple(key for key in _forms() if fits(key) and not (pattern.endswith(" on *") and _RARE.search(key)))


_RARE = re.compile(r" on (?:only |foreign )")
