"""How far a run of migrations is, as one value: made from the runner's events, kept as JSON, shown to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pgcharter.migrate.blockers import head
from pgcharter.migrate.watch import Advances, BatchDone, Begun, Finished, Paused, Resumed, Retries, UnitBegun, UnitDone, Waits

if TYPE_CHECKING:
    from pgcharter.migrate.model import Unit
    from pgcharter.migrate.watch import Event


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    applied: int = 0
    """Migrations that it has finished."""
    migration: str = ""
    unit: int = 0
    """The unit at work, from 1."""
    units: int = 0
    doing: str = ""
    """What it does there, in a few words and without literals."""
    phase: str = ""
    """What PostgreSQL says of a long statement."""
    rows: int = 0
    """Rows that a backfill has changed."""
    done: int = 0
    """What of `total` is done: rows of a backfill, or what PostgreSQL counts in a long statement."""
    total: int = 0
    """0: not known."""
    rate: float = 0.0
    """Rows a second."""
    remaining: float | None = None
    """Seconds, when it goes on like this."""
    waits: tuple[str, ...] = ()
    """Who stands in the way of the statement at work."""
    paused: tuple[str, ...] = ()
    """Why it pauses."""

    def after(self, event: Event) -> Progress:
        """How far it is once `event` has happened."""
        match event:
            case Begun():
                return Progress(self.applied, event.migration.title, event.first + 1, event.units)
            case UnitBegun():
                return Progress(self.applied, self.migration, event.number + 1, self.units, _doing(event.unit))
            case BatchDone():
                return replace(
                    self, rows=event.rows, done=event.seen, total=event.total or 0, rate=event.rate, remaining=event.remaining, waits=()
                )  # fmt: skip
            case Advances():
                return replace(self, phase=event.phase, done=event.done, total=event.total, waits=())
            case Waits() | Retries():
                return replace(self, waits=tuple(map(str, event.blockers)))
            case Paused():
                return replace(self, paused=event.reasons)
            case Resumed():
                return replace(self, paused=())
            case UnitDone():
                return replace(self, waits=(), phase="")
            case Finished():
                return Progress(self.applied + 1)
        return self

    def data(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Progress:
        """From JSON; what another version of the program may have written more or less is passed over."""
        known: dict[str, Any] = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        return cls(**(known | {name: tuple(value) for name, value in known.items() if isinstance(value, list)}))


def _doing(unit: Unit) -> str:
    if unit.gate:
        return f"gate: {unit.gate}"
    if unit.backfill:
        return f"backfill of {unit.backfill.table.sql()}"
    more = f" and {len(unit.statements) - 1} more" if len(unit.statements) > 1 else ""
    return (head(unit.statements[0]) if unit.statements else "a program") + more
