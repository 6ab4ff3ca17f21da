"""`[upkeep]` of the charter: when tables and indexes are looked after, from where on, and how gently."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds, size
from pgcharter.migrate.terms import Window


def _window(value: Any) -> None:
    if value:
        Window.parse(value)


def _percent(value: Any) -> None:
    if not 1 <= value <= 100:
        raise UsageError(f"{value} is no percentage", hint="write 1 to 100")


def _count(value: Any) -> None:
    if not 0 <= value <= 100_000:
        raise UsageError(f"{value} is no number of times", hint="write 0 to 100000")


_TIME: dict[str, Any] = {"check": seconds}
_SIZE: dict[str, Any] = {"check": size}
_PERCENT: dict[str, Any] = {"check": _percent}
_COUNT: dict[str, Any] = {"check": _count}


@dataclass(frozen=True)
class UpkeepSection:
    """`[upkeep]`: upkeep of one database."""

    window: str = field(default="", metadata={"check": _window})
    """When it may work: `01:00-05:00 Europe/Berlin`, `sat,sun 22:00-04:00 UTC`; no step begins outside. Empty: always."""
    dead: float = 1.0
    """Dead rows from which on a table is vacuumed, in times of its own autovacuum threshold."""
    dead_least: int = field(default=1000, metadata=_COUNT)
    """Fewer dead rows than this are left to autovacuum."""
    freeze: int = field(default=80, metadata=_PERCENT)
    """Age from which on rows are frozen, in percent of autovacuum_freeze_max_age (the table's own where it has one)."""
    bloat: int = field(default=50, metadata=_PERCENT)
    """Percent of an index or table that hold nothing, from which on it is built anew."""
    bloat_least: str = field(default="100MB", metadata=_SIZE)
    """Smaller ones are left as they are."""
    sequence: int = field(default=75, metadata=_PERCENT)
    """Percent of a sequence's or its column's numbers that are used, from which on it is told."""
    refresh: str = field(default="1h", metadata=_TIME)
    """Materialized views whose tables were written are refreshed when their last refresh is this long ago."""
    refresh_skip: tuple[str, ...] = ()
    """Materialized views (schema.name) that are not refreshed here."""
    repack: bool = False
    """Whether bloated tables are built anew by pg_repack, where it is; otherwise they are told."""
    lock_timeout: str = field(default="2s", metadata=_TIME)
    """Longest wait for a lock that others would queue behind."""
    wait: str = field(default="5min", metadata=_TIME)
    """Longest wait for locks that hinder neither readers nor writers, and for transactions older than a concurrent build."""
    statement_timeout: str = field(default="6h", metadata=_TIME)
    retries: int = field(default=3, metadata=_COUNT)
    """How often a step that got no lock is tried again."""
    pause: str = field(default="10s", metadata=_TIME)
    """Time before that."""
    most: int = field(default=200, metadata=_COUNT)
    """Steps of one run; 0: all."""


SECTION = Section("upkeep", UpkeepSection)
