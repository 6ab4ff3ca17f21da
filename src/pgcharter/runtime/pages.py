"""Pages of a query by place, not by number: the millionth row costs what the first one costs, and no row is lost or shown twice.

    pager = Pager([os.environ["CURSOR_KEY"]])

    page = pager.page(session, select(Order).order_by(Order.created_at.desc()), request.query.get("cursor"), limit=50)
    page.items, page.next, page.previous

    page = await pager.async_page(async_session, …)

    page = pager.page(conn, Listing("SELECT id, name FROM app.users WHERE team = %s", order=("lower(name)",), tie=("id",), parameters=(7,)))

NULLs stand where PostgreSQL puts them, ties are broken by primary keys that are added to the order, and values of the order
travel as PostgreSQL writes them and are compared by PostgreSQL: collations, NaN, infinity and microseconds are what they are there.

Rows that are not changed meanwhile are each met once. One whose place in the order is changed between two pages may be met twice or not at
all, as it has moved; one that is inserted is met when it comes after the place; one that is deleted is not met.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.cursors import Cursors, Position
from pgcharter.runtime.pages_coverage import Coverage, UncoveredError, UncoveredWarning, coverage, is_async
from pgcharter.runtime.pages_sql import Key, Listing
from pgcharter.runtime.pages_values import Found

if TYPE_CHECKING:
    from sqlalchemy import Select

__all__ = ["Coverage", "Key", "Listing", "Page", "Pager", "UncoveredError", "UncoveredWarning", "coverage"]

T = TypeVar("T")
OFFSET = 1000
"""Most rows that a page by number may skip, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursors of the pages beside them."""

    items: list[T]
    next: str | None
    """Cursor of the page after this one; None: there is none."""
    previous: str | None
    """Cursor of the page before; None: there is none."""

    @property
    def has_next(self) -> bool:
        """Whether rows come after. After going backward that is the page one came from, though it may have been emptied since."""
        return self.next is not None

    @property
    def has_previous(self) -> bool:
        """Whether rows come before. After going forward that is the page one came from, though it may have been emptied since."""
        return self.previous is not None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Pager:
    """Reads queries in pages. One for an application: it has no connection and no state but which orders were looked at."""

    def __init__(
        self,
        keys: Sequence[bytes | str] | Cursors,
        *,
        lifetime: float | None = 24 * 3600,
        limit: int = 20,
        most: int = 100,
        offset: int = OFFSET,
        uncovered: Literal["ignore", "warn", "raise"] = "ignore",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Cursors are signed with the first of `keys` and good for `lifetime` seconds; a page has `limit` rows and never more than `most`.

        `offset`: most rows that a page by number may skip. `uncovered`: what happens when no index serves the order of a query, looked
        at the first time the query is seen.
        """
        self.cursors = keys if isinstance(keys, Cursors) else Cursors(keys, lifetime=lifetime, clock=clock)
        self.limit, self.most, self.offset, self.uncovered = limit, most, offset, uncovered
        self._looked_at: set[str] = set()

    @overload
    def page(
        self, conn: Any, query: Select[T], cursor: str | None = None, *, limit: int | None = None, tie: Sequence[Any] = ()
    ) -> Page[T]: ...
    @overload
    def page(self, conn: Any, query: Listing, cursor: str | None = None, *, limit: int | None = None) -> Page[Any]: ...
    @overload
    def page(
        self,
        conn: Any,
        query: Select[Any, *tuple[Any, ...]],
        cursor: str | None = None,
        *,
        limit: int | None = None,
        tie: Sequence[Any] = (),
    ) -> Page[Any]: ...
    def page(self, conn: Any, query: Any, cursor: str | None = None, *, limit: int | None = None, tie: Sequence[Any] = ()) -> Page[Any]:
        """One page of a query: the first, or the one that a cursor leads to.

        A `select()` runs on a Session or Connection of SQLAlchemy over psycopg and gives what its one entity or column is, rows where it
        has several; a `Listing` runs on a connection of psycopg and gives what its row factory makes. `tie` are columns that tell
        the rows of a `select()` apart where primary keys of its tables cannot.

        Raises a CursorError (runtime.cursors) for a cursor that cannot be used, UsageError for a limit out of bounds and for a query that
        has no order to go by.
        """
        return driven(self.steps(conn, query, cursor, limit, tie))

    @overload
    async def async_page(
        self, conn: Any, query: Select[T], cursor: str | None = None, *, limit: int | None = None, tie: Sequence[Any] = ()
    ) -> Page[T]: ...
    @overload
    async def async_page(self, conn: Any, query: Listing, cursor: str | None = None, *, limit: int | None = None) -> Page[Any]: ...
    @overload
    async def async_page(
        self,
        conn: Any,
        query: Select[Any, *tuple[Any, ...]],
        cursor: str | None = None,
        *,
        limit: int | None = None,
        tie: Sequence[Any] = (),
    ) -> Page[Any]: ...
    async def async_page(
        self, conn: Any, query: Any, cursor: str | None = None, *, limit: int | None = None, tie: Sequence[Any] = ()
    ) -> Page[Any]:
        """The same on an AsyncSession, or an async connection of SQLAlchemy or psycopg."""
        return await awaited(self.steps(conn, query, cursor, limit, tie))

    def offset_page(self, conn: Any, query: Any, offset: int, *, limit: int | None = None, tie: Sequence[Any] = ()) -> Page[Any]:
        """A page by number of rows before it, for those who must; its `next` and `previous` go on by place.

        Raises UsageError for an offset of more than the pager allows, since the server reads all those rows and drops them.
        """
        return driven(self._offset_page(conn, query, offset, limit, tie))

    async def async_offset_page(
        self, conn: Any, query: Any, offset: int, *, limit: int | None = None, tie: Sequence[Any] = ()
    ) -> Page[Any]:
        """The same on async connections and sessions."""
        return await awaited(self._offset_page(conn, query, offset, limit, tie))

    def steps(self, conn: Any, query: Any, cursor: str | None, limit: int | None, tie: Sequence[Any] = ()) -> Steps[Page[Any]]:
        """What `page` and `async_page` do, for work of both colours (runtime.colours)."""
        count, listing = self.count(limit), _listing(query, tie)
        known = listing.fingerprint
        position = self.cursors.open(cursor, known) if cursor is not None else None
        yield from self._look(conn, query, tie, listing)
        found = yield from listing.rows(conn, position, count + 1)
        return self._made(found, position, count, known, came=position is not None)

    def _offset_page(self, conn: Any, query: Any, offset: int, limit: int | None, tie: Sequence[Any]) -> Steps[Page[Any]]:
        count, listing = self.count(limit), _listing(query, tie)
        if not 0 <= offset <= self.offset:
            raise too_far(offset, self.offset)
        found = yield from listing.rows(conn, None, count + 1, offset)
        return self._made(found, None, count, listing.fingerprint, came=offset > 0)

    def _made(self, found: Found, position: Position | None, count: int, query: bytes, *, came: bool) -> Page[Any]:
        """The page of rows of which one more than wanted was asked for."""
        backward = position is not None and position.backward
        items, more = found.items[:count], len(found.items) > count
        if more and found.place(count) == found.place(count - 1):
            raise UsageError(
                "two rows have the same place in the order, and one of them would be lost between two pages",
                hint="have tie= name columns that tell all rows apart",
            )
        if not items:
            turned = Position(position.values, not backward, not position.inclusive) if position else None
            there = self.cursors.seal(turned, query) if turned else None
            return Page([], there if backward else None, None if backward else there)
        first, last = 0, len(items) - 1
        if backward:
            items.reverse()
            first, last = last, first
        forth, back = (came, more) if backward else (more, came)
        return Page(
            items,
            self.cursors.seal(Position(found.place(last)), query) if forth else None,
            self.cursors.seal(Position(found.place(first), backward=True), query) if back else None,
        )

    def _look(self, conn: Any, query: Any, tie: Sequence[Any], listing: Any) -> Steps[None]:
        """See, once a query, that an index serves its order."""
        if self.uncovered == "ignore" or listing.text in self._looked_at:
            return
        found: Coverage = yield lambda: coverage.aio(conn, query, tie) if is_async(conn) else coverage(conn, query, tie)
        self._looked_at.add(listing.text)
        if not found.covered and self.uncovered == "raise":
            self._looked_at.discard(listing.text)
            raise UncoveredError(found)
        if not found.covered:
            warnings.warn(f"{found} ({found.hint})", UncoveredWarning, stacklevel=2)

    def count(self, limit: int | None) -> int:
        """The rows of a page that was asked for. Raises UsageError out of bounds."""
        count = self.limit if limit is None else limit
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= self.most:
            raise UsageError(f"limit is {count}, and a page has 1 to {self.most} rows")
        return count


def too_far(offset: int, most: int = OFFSET) -> UsageError:
    """The error of an offset beyond the limit."""
    return UsageError(
        f"offset {offset:,} is asked for, and {most:,} is the most: the server would read all rows before it and drop them",
        hint="go on by place: page(…, cursor), cursor being the last page's next (keyset pagination)",
    )


def _listing(query: Any, tie: Sequence[Any]) -> Any:
    """What reads a query in pages."""
    if isinstance(query, Listing):
        return query
    from pgcharter.runtime.pages_select import Selected

    return Selected(query, tie)
