"""Events as values: one that is stored, one that is to be appended; and the store as a log that feeds read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pgcharter.runtime.feeds_model import Log

AggregateId = UUID | str
Json = Mapping[str, Any] | list[Any] | str | int | float | bool | None
_COLUMNS = (
    "position", "tenant", "aggregate_type", "aggregate_id", "event_version", "event_id", "event_type", "schema_version",
    "event_data::text", "metadata::text", "actor", "correlation", "causation", "created_at",
)  # fmt: skip
COLUMNS = ", ".join(f"l.{c}" for c in _COLUMNS)


class Event(NamedTuple):
    """An event as it is stored."""

    position: int
    """Its place in the order of all events."""
    tenant: str
    aggregate_type: str
    aggregate_id: AggregateId
    version: int
    """Its number in its aggregate, from 1."""
    id: UUID
    type: str
    schema_version: int
    body: str
    """What happened, as JSON text."""
    notes: str | None
    """Its metadata as JSON text."""
    actor: str | None
    correlation: str | None
    causation: str | None
    at: datetime

    @property
    def data(self) -> Any:
        """What happened; read from `body` each time."""
        return json.loads(self.body)

    @property
    def metadata(self) -> Any:
        """Its metadata; read from `notes` each time."""
        return json.loads(self.notes) if self.notes is not None else None

    @property
    def place(self) -> str:
        """Where it stands, as messages call it."""
        return f"event {self.type} ({self.aggregate_type} {self.aggregate_id}, version {self.version}, position {self.position})"


@dataclass(frozen=True, slots=True)
class New:
    """An event that is to be appended."""

    type: str
    data: Json
    schema_version: int = 1
    metadata: Mapping[str, Any] | None = None
    id: UUID | None = None
    """None: it gets one."""


LOG: Log[Event] = Log(
    "events", "pgcharter.events", "concat_ws('/', l.tenant, l.aggregate_type, l.aggregate_id)",
    tuple(f"l.{c}" for c in _COLUMNS), Event,
)  # fmt: skip
"""The store as a log: keys are aggregates, so events of one aggregate are handled in their order."""
