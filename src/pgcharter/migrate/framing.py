"""What is said to the server around the statements of a file: by the run itself, and by the dry run that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgcharter.migrate.terms import Terms

CLOSING = "SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL session_authorization TO DEFAULT; SET LOCAL role TO DEFAULT"
"""Before the record is written: what is deferred is checked now, and whoever the file became, the ledger is written by who logged in."""
AS_LOGGED_IN = "BEGIN; SET LOCAL session_authorization TO DEFAULT; SET LOCAL role TO DEFAULT"
IDLE = "60s"
"""How long a transaction of ours may stand open with nothing said: a runner that was stopped must not hold its locks."""


def opening(terms: Terms) -> str:
    """What begins a transaction of ours."""
    return (
        f"BEGIN; SET LOCAL lock_timeout = '{_ms(terms.lock_timeout)}'; "
        f"SET LOCAL statement_timeout = '{_ms(terms.statement_timeout)}'; "
        f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE}'"
    )


def patience(terms: Terms, major: int) -> str:
    """The settings of a statement that stands alone: its waits for locks disturb nobody, and ending them would end the build."""
    rest = "; SET transaction_timeout = 0" if major >= 17 else ""
    return f"SET lock_timeout = 0; SET statement_timeout = '{_ms(terms.alone_timeout)}'{rest}"


def _ms(seconds: float) -> str:
    """As PostgreSQL's timeouts take it; a limit however small does not become 0, which is none."""
    return f"{max(1, round(seconds * 1000)) if seconds > 0 else 0}ms"
