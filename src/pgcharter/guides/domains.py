"""Data domains: tables that belong together, how consistent they are promised to be, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["strong", "causal", "eventual"]
Mechanism = Literal["transaction", "version", "serializable", "events", "publication", "outbox", "trigger", "materialized view"]

MECHANISMS: Mapping[str, tuple[Mechanism, ...]] = {
    "strong": ("transaction", "version", "serializable"),
    "causal": ("version", "events", "publication"),
    "eventual": ("outbox", "events", "publication", "trigger", "materialized view"),
}
"""What may stand behind each level.

strong: `transaction`, one transaction over tables of this database that foreign keys tie together; `version`, a number in each row that a
writer compares; `serializable`, the isolation level that this database starts transactions with.
causal (an effect is never seen before its cause): `version`; `events`, an event store with a version that is unique for each aggregate;
`publication`, one publication with all the tables, since logical replication keeps the order of commits.
eventual: `outbox`, a table of messages to send; `events`; `publication`; `trigger`, one that writes each change elsewhere or notifies;
`materialized view`, a copy that can be refreshed without stopping its readers.
"""


@dataclass(frozen=True, slots=True)
class Domain:
    """One data domain of a house, as `[[options.domains]]` declares it."""

    name: str
    """What the house calls it: orders, catalogue."""
    tables: tuple[str, ...]
    """Its tables: `app.orders`, `orders` (of any schema), or with `*` for any letters: `order_*`, `billing.*`."""
    consistency: Level
    """What readers may rely on: strong, what is committed is seen at once; causal, never an effect before its cause; eventual, in time."""
    mechanism: Mechanism | None = None
    """What keeps the promise; left out, any that suits the level will do."""

    def __post_init__(self) -> None:
        if not self.name or not self.tables:
            raise ValueError("a domain needs a name and at least one table")
        allowed = MECHANISMS[self.consistency]
        if self.mechanism is not None and self.mechanism not in allowed:
            raise ValueError(f'domain "{self.name}" cannot be {self.consistency} by {self.mechanism}: possible are {", ".join(allowed)}')

    def __str__(self) -> str:
        how = f" by {self.mechanism}" if self.mechanism else ""
        return f"{self.name} ({self.consistency}{how}: {', '.join(self.tables)})"
