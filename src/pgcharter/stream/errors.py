"""What can go wrong between PostgreSQL and a store."""

from __future__ import annotations

from pgcharter.errors import PgcharterError, RefusedError


class SinkDownError(PgcharterError):
    """A store cannot be reached, or cannot take more just now; it is tried again."""


class SinkRefusedError(PgcharterError):
    """A store refuses what it is given, and would again: a column of another type, a full disk, no right."""


class SlotLostError(RefusedError):
    """The replication slot is gone, or the log it needs is: what happened meanwhile cannot be streamed, copies must be seeded anew."""
