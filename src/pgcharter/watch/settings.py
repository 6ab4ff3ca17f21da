"""`[watch]` of the charter: other thresholds, and what is not looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.watch.model import Check, Word
from pgcharter.watch.notify_settings import NotifyTable, SilenceTable


def _id(value: Any) -> None:
    from pgcharter.watch import registry

    registry.check(value)


def _words(value: Any) -> None:
    from pgcharter.watch import registry

    for word in value:
        registry.known(word)


def _variable(value: Any) -> None:
    if "=" in value or "://" in value:
        raise UsageError("the connection string stands in an environment variable, whose name is written here", hint="PGBOUNCER_ADMIN_URL")


@dataclass(frozen=True)
class CheckTable:
    """`[[watch.check]]`: what differs for one check."""

    id: str = field(metadata={"check": _id})
    """Id of the check, as `pgcharter health list` shows it."""
    warn: float | None = None
    """From here on it is a warning."""
    critical: float | None = None
    """From here on it is critical."""
    level: Word | None = None
    """The most it can be here: info, warning or critical."""
    off: bool = False
    """It is not looked at; say why."""
    reason: str = ""
    """Why this project sees it differently."""
    until: date | None = None
    """Until this day; then the check is as it ships again."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is switched off without a reason."""
        if self.off and not self.reason.strip():
            raise ValueError(f'check {self.id} is off without a reason: write reason = "…"')
        from pgcharter.watch import registry

        changed = _changed(registry.check(self.id), self)
        if changed and changed.warn is not None and changed.critical is not None and (changed.warn > changed.critical) != changed.below:
            limits = f"critical = {changed.critical:g}, warn = {changed.warn:g}"
            raise ValueError(f"check {self.id} would be critical before it is a warning ({limits}): set both")


@dataclass(frozen=True)
class WatchSection:
    """`[watch]`: how a running server is looked at."""

    skip: tuple[str, ...] = field(default=(), metadata={"check": _words})
    """Checks and families that are not looked at."""
    pooler_env: str = field(default="", metadata={"check": _variable})
    """Environment variable with the connection string of PgBouncer's admin console (database pgbouncer)."""
    databases: tuple[str, ...] = ()
    """Databases of the server that are looked into; empty: all."""
    check: tuple[CheckTable, ...] = ()
    notify: tuple[NotifyTable, ...] = ()
    silence: tuple[SilenceTable, ...] = ()


SECTION = Section("watch", WatchSection)


def effective(checks: Iterable[Check], section: WatchSection, today: date) -> tuple[Check, ...]:
    """Checks under the project's thresholds, without those that are off."""
    own: Mapping[str, CheckTable] = {t.id: t for t in section.check if t.until is None or t.until >= today}
    made = (_changed(c, own.get(c.id)) for c in checks if c.id not in section.skip and c.family not in section.skip)
    return tuple(c for c in made if c is not None)


def _changed(check: Check, table: CheckTable | None) -> Check | None:
    if table is None:
        return check
    if table.off:
        return None
    changes: dict[str, Any] = {name: getattr(table, name) for name in ("warn", "critical", "level") if getattr(table, name) is not None}
    return replace(check, **changes)
