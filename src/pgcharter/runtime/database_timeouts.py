"""Limits of transactions by kind of work."""

from __future__ import annotations

from dataclasses import dataclass

from pgcharter.errors import UsageError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of a kind of work, in seconds; None: as usual, or as the server is set; 0: none."""

    statement: float | None = 30.0
    """Longest that one statement runs (statement_timeout)."""
    lock: float | None = 5.0
    """Longest that a statement waits for a lock (lock_timeout)."""
    idle: float | None = 60.0
    """Longest that the transaction does nothing (idle_in_transaction_session_timeout)."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        for seconds in (self.statement, self.lock, self.idle):
            if seconds is not None and not (seconds == 0 or 0.001 <= seconds <= 2147483):
                raise UsageError(f"a timeout is {seconds} seconds, and must be from 0.001 to 2147483, or 0 for none")

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Names and values of PostgreSQL's settings."""
        named = ("statement_timeout", self.statement), ("lock_timeout", self.lock), ("idle_in_transaction_session_timeout", self.idle)
        return tuple((name, f"{round(seconds * 1000)}ms") for name, seconds in named if seconds is not None)
