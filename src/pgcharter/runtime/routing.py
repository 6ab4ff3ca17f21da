"""Where read-only work goes: to a replica that has replayed what the caller has written, else to the primary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgcharter.runtime.colours import Steps
from pgcharter.runtime.served import Terms

if TYPE_CHECKING:
    from pgcharter.runtime.work import AnyWork


@dataclass(frozen=True, slots=True)
class Token:
    """A position in the log of one system: what has been committed up to there is to be seen."""

    system: str
    lsn: int


@dataclass(frozen=True, slots=True)
class Routing:
    """How replicas are chosen."""


class Router:
    """Chooses replicas of a database for work that only reads."""

    def __init__(self, database: Any, routing: Routing) -> None:
        self.database = database
        self.routing = routing

    def start(self) -> None:
        """Watch the replicas in a thread."""

    def stop(self) -> None:
        """Watch no more."""

    def start_async(self) -> None:
        """Watch the replicas in a task."""

    async def stop_async(self) -> None:
        """Watch no more."""

    def begun(self, terms: Terms, attempt: int, after: Token | None) -> Steps[AnyWork | None]:
        """A unit of work on a replica that has replayed enough; None where it belongs on the primary."""
        return None
        yield

    def committed(self, work: AnyWork) -> None:
        """A unit of work has been committed: what it wrote is to be seen by what its context reads next."""
