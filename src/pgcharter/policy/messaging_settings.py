"""`[messaging]` of the charter: events, outbox, sagas, and whoever reads them in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pgcharter.charter import Section

Part = Literal["events", "outbox", "sagas"]
LARGEST = 64 << 20
"""Most bytes that a message can be allowed to have: twice of it, as bytes become in jsonb, are still less than a jsonb can hold."""


@dataclass(frozen=True)
class EventsTable:
    """`[messaging.events]`: the event store, `pgcharter.events`."""

    aggregate_id: Literal["uuid", "text"] = "uuid"
    """Type of the aggregates' ids."""
    ahead_months: int = 3
    """Partitions that are made beforehand."""

    def __post_init__(self) -> None:
        """Raise ValueError for a number of months that means nothing."""
        if not 1 <= self.ahead_months <= 120:
            raise ValueError("ahead_months is between 1 and 120")


@dataclass(frozen=True)
class OutboxTable:
    """`[messaging.outbox]`: messages to others, `pgcharter.outbox`."""

    partitions: int = 4
    """Parts that are filled in turn and emptied whole when all has been delivered."""

    def __post_init__(self) -> None:
        """Raise ValueError for a number of parts that cannot be taken in turn."""
        if not 3 <= self.partitions <= 64:
            raise ValueError("partitions is between 3 and 64")


@dataclass(frozen=True)
class MessagingSection:
    """`[messaging]`: what is told to others, in order and without loss, in the transaction that does the work."""

    parts: tuple[Part, ...] = ("events", "outbox", "sagas")
    """What is wanted."""
    writers: tuple[str, ...] = ()
    """Roles that may append events, publish messages, start sagas and signal them; empty: the owner alone."""
    workers: tuple[str, ...] = ()
    """Roles that may read what is settled, move cursors and run sagas; where tenants are kept apart they see all of them."""
    message_bytes: int = 16 << 20
    """Most bytes of a message or an event; a larger one is refused where it is published or appended."""
    app: str = ""
    """`package.module:name` of the application's `Messaging`, with its handlers and definitions, for commands that run them."""
    events: EventsTable = field(default_factory=EventsTable)
    outbox: OutboxTable = field(default_factory=OutboxTable)

    def __post_init__(self) -> None:
        """Raise ValueError for a size that could not be handled."""
        if not 1000 <= self.message_bytes <= LARGEST:
            raise ValueError(f"message_bytes is between 1000 and {LARGEST}")


SECTION = Section("messaging", MessagingSection)
