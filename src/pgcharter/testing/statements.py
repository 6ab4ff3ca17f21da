"""Counting statements: what a piece of code sends to the server, as a number and as a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import total_ordering

from pgcharter.runtime.repeats import Seen, watching

_BORDERS = ("SAVEPOINT ", "RELEASE ", "ROLLBACK", "BEGIN", "COMMIT")


@total_ordering
class Counted:
    """How many statements were sent: compares with numbers, and shows the statements where it differs. Not hashable: it grows."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    @property
    def count(self) -> int:
        """Statements; a batch or an executemany is one. BEGIN, COMMIT and savepoints are not counted."""
        return sum(self.statements.values())

    @property
    def statements(self) -> dict[str, int]:
        """Statements without their values, and how many times each was sent, in the order in which they came."""
        return {sql: n for sql, n in self._seen.statements.items() if not sql.startswith(_BORDERS)}

    def __int__(self) -> int:
        return self.count

    def __eq__(self, other: object) -> bool:
        return self.count == int(other) if isinstance(other, int | Counted) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.count < int(other) if isinstance(other, int | Counted) else NotImplemented

    def __repr__(self) -> str:
        return f"{self.count} statement{'s' * (self.count != 1)}" + "".join(f"\n  {n} × {sql}" for sql, n in self.statements.items())


@contextmanager
def count_statements(*targets: object) -> Iterator[Counted]:
    """Count what engines, connections or sessions send, sync or async: `with count_statements(pg_session) as c: …; assert c == 3`.

    Raises UsageError for what nothing can be counted of.
    """
    with watching(*targets) as seen:
        yield Counted(seen)


@contextmanager
def assert_statements(
    *targets: object, exactly: int | None = None, at_most: int | None = None, at_least: int | None = None
) -> Iterator[Counted]:
    """Fail with the list of statements where their number is another than said: `with assert_statements(pg_session, at_most=3): …`."""
    __tracebackhide__ = True
    with count_statements(*targets) as counted:
        yield counted
    for bound, fits, word in (
        (exactly, counted.count == exactly, "exactly"),
        (at_most, counted.count <= (at_most or 0), "at most"),
        (at_least, counted.count >= (at_least or 0), "at least"),
    ):
        if bound is not None and not fits:
            raise AssertionError(f"{counted!r}\nwhere {word} {bound} may be sent")
