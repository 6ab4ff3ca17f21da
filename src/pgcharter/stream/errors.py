"""What can go wrong between PostgreSQL and a store."""

from __future__ import annotations

from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.stream.model import Stamp


class SinkDownError(PgcharterError):
    """A store cannot be reached, or cannot take more just now: it is away, busy, full. It passes by itself, and is tried again soon."""


class SinkLostError(PgcharterError):
    """A store has not any more what was written to it: it was emptied, or restored from an older copy. It must be seeded anew."""


class SinkOlderError(SinkLostError):
    """A store stands where it stood before: it has lost what was written last. What it misses may be sent again."""

    def __init__(self, message: str, stamp: Stamp) -> None:
        super().__init__(message)
        self.stamp = stamp
        """Up to where it has everything."""


class SinkRefusedError(PgcharterError):
    """A store refuses what it is given, and would again until a person has changed something: a column of another type, no right."""


class SlotLostError(RefusedError):
    """The replication slot is gone, or the log it needs is: what happened meanwhile cannot be streamed, copies must be seeded anew."""
