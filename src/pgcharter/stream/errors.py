"""What can go wrong between PostgreSQL and a store."""

from __future__ import annotations

from pgcharter.errors import PgcharterError, RefusedError


class SinkDownError(PgcharterError):
    """A store cannot be reached, or cannot take more just now: it is away, busy, full. It passes by itself, and is tried again soon."""


class SinkLostError(PgcharterError):
    """A store has not any more what was written to it: it was emptied, or restored from an older copy. It must be seeded anew."""


class SinkRefusedError(PgcharterError):
    """A store refuses what it is given, and would again until a person has changed something: a column of another type, no right."""


class SlotLostError(RefusedError):
    """The replication slot is gone, or the log it needs is: what happened meanwhile cannot be streamed, copies must be seeded anew."""
