"""What a worker of sagas is told, and what it says: settings, counts, alarms, ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgcharter.errors import UsageError


@dataclass(frozen=True, slots=True)
class Alarm:
    """A saga needs a person. It goes on trying."""

    saga_id: str
    type: str
    version: int
    tenant: str
    key: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A saga has come to its end in this worker."""

    saga_id: str
    type: str
    status: str
    result: Any
    error: str | None


@dataclass(frozen=True)
class SagaSettings:
    """Times are seconds. Raises UsageError for what makes no sense."""

    concurrency: int = 16
    """Sagas that run at a time."""
    lease: float = 30.0
    """A worker that says nothing for so long has lost its sagas. It says something every third of that, however long a step takes."""
    poll_least: float = 0.01
    poll_most: float = 0.25
    """Pause between looks while nothing is due: it doubles from the one to the other."""
    listen: bool = False
    """Be woken by NOTIFY (`wakes`), on a connection of its own; `poll_most` is 5 s then."""
    grace: float = 10.0
    """Sagas that are due for so long and not taken by anybody have no worker with their definition: they say so."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if self.concurrency < 1 or min(self.lease, self.poll_least, self.poll_most) <= 0 or self.grace < 0:
            raise UsageError(f"{self} makes no sense: at least one saga at a time, and times above zero")


@dataclass(slots=True)
class SagaCounts:
    """What a worker has done."""

    claimed: int = 0
    checkpoints: int = 0
    round_trips: int = 0
    lost: int = 0
    alarms: int = 0
