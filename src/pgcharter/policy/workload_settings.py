"""`[workload]` of the charter: what statements cost is kept from snapshot to snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds

MOST = 5000
"""Most statements of one snapshot that may be kept: as many as pg_stat_statements holds unless told otherwise."""


def _keep(value: Any) -> None:
    if seconds(value) < 3600:
        raise UsageError(f"{value!r} is less than an hour", hint='write keep = "35d"')


@dataclass(frozen=True)
class WorkloadSection:
    """`[workload]`: `pgcharter.statement_snapshots`, what each statement cost between two snapshots of pg_stat_statements."""

    keep: str = field(default="35d", metadata={"check": _keep})
    """Time for which snapshots are kept."""
    top: int = 200
    """Statements of one snapshot that are kept, by their time; a tenth of them by their calls."""
    writers: tuple[str, ...] = ()
    """Roles that may take snapshots; they need pg_read_all_stats too."""
    readers: tuple[str, ...] = ()
    """Roles that may read them."""

    def __post_init__(self) -> None:
        """Raise ValueError for a number that means nothing."""
        if not 10 <= self.top <= MOST:
            raise ValueError(f"top is between 10 and {MOST}")


SECTION = Section("workload", WorkloadSection)
