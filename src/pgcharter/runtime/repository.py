"""Repositories: what an application asks of one mapped class, sync and async, on a session or, in tests of services, in memory.

    class Orders(Repository[Order]):
        def open_of(self, customer: UUID) -> list[Order]:
            return self.list(customer_id=customer, state="open", order_by="-created_at", load=["lines.product"])

    Orders(session).open_of(ada)
    Orders(Memory()).open_of(ada)          # the same filters, no server

A filter is a keyword (`state="open"`, `total__ge=10`), a mapping (runtime.filters), what `Filters.read` makes of a request, or a condition
of SQLAlchemy. Results refuse to load relationships one by one: name them in `load`, or say `lazy = True`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.runtime.colours import awaited, driven
from pgcharter.runtime.pages import Page, Pager
from pgcharter.runtime.repository_memory import Memory, MemoryStore
from pgcharter.runtime.repository_store import Condition, NotFoundError, Order, Path, Several, Store, Wanted, aggregates

try:
    from pgcharter.runtime.repository_select import SessionStore
except ImportError:
    raise UnavailableError("SQLAlchemy is not installed, and repositories need it", hint="pip install 'pgcharter[serve]'") from None

__all__ = ["AsyncRepository", "Memory", "NotFoundError", "Repository"]

M = TypeVar("M")
Row = Mapping[str, Any]


class _Of(Generic[M]):
    """A repository of one mapped class, on a session or in memory."""

    model: type[M]
    """The mapped class; `Repository[Order]` says it."""
    lazy: ClassVar[bool] = False
    """Whether results may load relationships one by one."""
    search_config: ClassVar[str] = "english"
    """Text search configuration of `search`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type):
                    cls.model = argument

    def __init__(self, session: Any, model: type[M] | None = None) -> None:
        """`session` is a Session or an AsyncSession, or a `Memory`. Raises UsageError where nothing says which class it is."""
        if model is not None:
            self.model = model
        if not hasattr(self, "model"):
            raise UsageError(f"{type(self).__name__} does not say of which class it is", hint="class Orders(Repository[Order]): …")
        self.session = session
        self._store: Store[M] = (
            MemoryStore(session, self.model)
            if isinstance(session, Memory)
            else SessionStore(session, self.model, lazy=self.lazy, config=self.search_config)
        )

    def _found(self, found: M | None, key: Any) -> M:
        if found is None:
            raise NotFoundError(self.model, key)
        return found


class Repository(_Of[M]):
    """On a Session, or in memory."""

    def get(self, key: Any, *, load: Sequence[Path] = ()) -> M:
        """The row with a primary key (a tuple where it has several columns). Raises NotFoundError."""
        return self._found(driven(self._store.get(key, load)), key)

    def get_or_none(self, key: Any, *, load: Sequence[Path] = ()) -> M | None:
        """The row with a primary key, if there is one."""
        return driven(self._store.get(key, load))

    def list(
        self,
        *where: Condition,
        order_by: Order = (),
        limit: int | None = None,
        offset: int = 0,
        load: Sequence[Path] = (),
        **fields: Any,
    ) -> Several[M]:
        """The rows that all filters hold for. Raises FilterError, and UsageError for a large offset or a name that is not there."""
        return driven(self._store.list(Wanted(_all(where, fields), order_by, limit, offset, load)))

    def first(self, *where: Condition, order_by: Order = (), load: Sequence[Path] = (), **fields: Any) -> M | None:
        """The first of them."""
        found = driven(self._store.list(Wanted(_all(where, fields), order_by, 1, 0, load)))
        return found[0] if found else None

    def page(
        self,
        pager: Pager,
        cursor: str | None = None,
        *where: Condition,
        order_by: Order = (),
        limit: int | None = None,
        load: Sequence[Path] = (),
        **fields: Any,
    ) -> Page[M]:
        """One page of them (runtime.pages): the first, or the one a cursor leads to. Raises CursorError, FilterError."""
        return driven(self._store.page(pager, cursor, Wanted(_all(where, fields), order_by, limit, 0, load)))

    def search(
        self, text: str, *where: Condition, order_by: Order = (), limit: int | None = 20, load: Sequence[Path] = (), **fields: Any
    ) -> Several[M]:
        """Rows whose column of type tsvector matches what a person typed (websearch_to_tsquery), the best first.

        Raises UsageError where there is no such column.
        """
        return driven(self._store.search(text, Wanted(_all(where, fields), order_by, limit, 0, load)))

    def exists(self, *where: Condition, **fields: Any) -> bool:
        """Whether there is one."""
        return driven(self._store.exists(_all(where, fields)))

    def count(self, *where: Condition, exact: bool = True, **fields: Any) -> int:
        """How many there are; not exactly, how many the planner believes there are, which costs no more than to plan."""
        return driven(self._store.count(_all(where, fields), exact))

    def aggregate(self, *where: Condition, by: Sequence[str] = (), **what: str | tuple[str, str]) -> Several[dict[str, Any]]:
        """Sums and the like of each group: `aggregate(by=["state"], orders="count", total=("sum", "total"))`, ordered by the group.

        Functions: count, count_distinct, sum, avg, min, max.
        """
        return driven(self._store.aggregate(where, by, aggregates(what)))

    def add(self, item: M) -> M:
        """Write a new object, or one that was changed, now; with what the server made of it."""
        driven(self._store.add([item]))
        return item

    def add_all(self, items: Iterable[M]) -> None:
        """Write several."""
        driven(self._store.add(list(items)))

    def insert(self, **values: Any) -> M:
        """Insert one row, and have it as the server made it."""
        return driven(self._store.insert([values]))[0]

    def insert_many(self, rows: Iterable[Row]) -> Several[M]:
        """Insert rows in few statements, and have them in their order."""
        return driven(self._store.insert(list(rows)))

    def update(self, key: Any, **values: Any) -> M:
        """Change some fields of the row with a key, and have it as it is then. Raises NotFoundError."""
        return self._found(driven(self._store.update(key, values)), key)

    def update_where(self, *where: Condition, values: Row) -> int:
        """Change rows that filters hold for; how many. Raises UsageError where there is no filter."""
        return driven(self._store.update_where(where, values))

    def upsert(
        self,
        rows: Row | Iterable[Row],
        *,
        on: str | Sequence[str],
        conflict: Literal["update", "ignore"] = "update",
        update: Sequence[str] | None = None,
    ) -> Several[M]:
        """Insert rows; where one is there already, by the fields `on` or a constraint's name, change it or leave it alone.

        `update` names the fields that are changed, by default all that are given. Gives what was inserted or changed, in no order.
        """
        return driven(self._store.upsert([rows] if isinstance(rows, Mapping) else list(rows), on, conflict, update))

    def delete(self, key: Any) -> None:
        """Delete the row with a key as the session does: with its cascades, marked only where it has soft delete. Raises NotFoundError."""
        if not driven(self._store.delete(key)):
            raise NotFoundError(self.model, key)

    def delete_where(self, *where: Condition, **fields: Any) -> int:
        """Delete rows that filters hold for; how many. Raises UsageError where there is no filter."""
        return driven(self._store.delete_where(_all(where, fields)))

    def bulk(self, rows: Any, **options: Any) -> Any:
        """COPY rows in: `bulk.load` (runtime.bulk) with its options."""
        return driven(self._store.bulk(rows, options))

    def stream(self, *where: Condition, order_by: Order = (), load: Sequence[Path] = (), chunk: int = 500, **fields: Any) -> Iterator[M]:
        """Rows one after the other, `chunk` of them in memory at a time."""
        return self._store.stream(Wanted(_all(where, fields), order_by, None, 0, load), chunk)


class AsyncRepository(_Of[M]):
    """The same on an AsyncSession, or in memory."""

    async def get(self, key: Any, *, load: Sequence[Path] = ()) -> M:
        """The row with a primary key (a tuple where it has several columns). Raises NotFoundError."""
        return self._found(await awaited(self._store.get(key, load)), key)

    async def get_or_none(self, key: Any, *, load: Sequence[Path] = ()) -> M | None:
        """The row with a primary key, if there is one."""
        return await awaited(self._store.get(key, load))

    async def list(
        self,
        *where: Condition,
        order_by: Order = (),
        limit: int | None = None,
        offset: int = 0,
        load: Sequence[Path] = (),
        **fields: Any,
    ) -> Several[M]:
        """The rows that all filters hold for. Raises FilterError, and UsageError for a large offset or a name that is not there."""
        return await awaited(self._store.list(Wanted(_all(where, fields), order_by, limit, offset, load)))

    async def first(self, *where: Condition, order_by: Order = (), load: Sequence[Path] = (), **fields: Any) -> M | None:
        """The first of them."""
        found = await awaited(self._store.list(Wanted(_all(where, fields), order_by, 1, 0, load)))
        return found[0] if found else None

    async def page(
        self,
        pager: Pager,
        cursor: str | None = None,
        *where: Condition,
        order_by: Order = (),
        limit: int | None = None,
        load: Sequence[Path] = (),
        **fields: Any,
    ) -> Page[M]:
        """One page of them (runtime.pages): the first, or the one a cursor leads to. Raises CursorError, FilterError."""
        return await awaited(self._store.page(pager, cursor, Wanted(_all(where, fields), order_by, limit, 0, load)))

    async def search(
        self, text: str, *where: Condition, order_by: Order = (), limit: int | None = 20, load: Sequence[Path] = (), **fields: Any
    ) -> Several[M]:
        """Rows whose column of type tsvector matches what a person typed (websearch_to_tsquery), the best first.

        Raises UsageError where there is no such column.
        """
        return await awaited(self._store.search(text, Wanted(_all(where, fields), order_by, limit, 0, load)))

    async def exists(self, *where: Condition, **fields: Any) -> bool:
        """Whether there is one."""
        return await awaited(self._store.exists(_all(where, fields)))

    async def count(self, *where: Condition, exact: bool = True, **fields: Any) -> int:
        """How many there are; not exactly, how many the planner believes there are, which costs no more than to plan."""
        return await awaited(self._store.count(_all(where, fields), exact))

    async def aggregate(self, *where: Condition, by: Sequence[str] = (), **what: str | tuple[str, str]) -> Several[dict[str, Any]]:
        """Sums and the like of each group: `aggregate(by=["state"], orders="count", total=("sum", "total"))`, ordered by the group.

        Functions: count, count_distinct, sum, avg, min, max.
        """
        return await awaited(self._store.aggregate(where, by, aggregates(what)))

    async def add(self, item: M) -> M:
        """Write a new object, or one that was changed, now; with what the server made of it."""
        await awaited(self._store.add([item]))
        return item

    async def add_all(self, items: Iterable[M]) -> None:
        """Write several."""
        await awaited(self._store.add(list(items)))

    async def insert(self, **values: Any) -> M:
        """Insert one row, and have it as the server made it."""
        return (await awaited(self._store.insert([values])))[0]

    async def insert_many(self, rows: Iterable[Row]) -> Several[M]:
        """Insert rows in few statements, and have them in their order."""
        return await awaited(self._store.insert(list(rows)))

    async def update(self, key: Any, **values: Any) -> M:
        """Change some fields of the row with a key, and have it as it is then. Raises NotFoundError."""
        return self._found(await awaited(self._store.update(key, values)), key)

    async def update_where(self, *where: Condition, values: Row) -> int:
        """Change rows that filters hold for; how many. Raises UsageError where there is no filter."""
        return await awaited(self._store.update_where(where, values))

    async def upsert(
        self,
        rows: Row | Iterable[Row],
        *,
        on: str | Sequence[str],
        conflict: Literal["update", "ignore"] = "update",
        update: Sequence[str] | None = None,
    ) -> Several[M]:
        """Insert rows; where one is there already, by the fields `on` or a constraint's name, change it or leave it alone.

        `update` names the fields that are changed, by default all that are given. Gives what was inserted or changed, in no order.
        """
        return await awaited(self._store.upsert([rows] if isinstance(rows, Mapping) else list(rows), on, conflict, update))

    async def delete(self, key: Any) -> None:
        """Delete the row with a key as the session does: with its cascades, marked only where it has soft delete. Raises NotFoundError."""
        if not (await awaited(self._store.delete(key))):
            raise NotFoundError(self.model, key)

    async def delete_where(self, *where: Condition, **fields: Any) -> int:
        """Delete rows that filters hold for; how many. Raises UsageError where there is no filter."""
        return await awaited(self._store.delete_where(_all(where, fields)))

    async def bulk(self, rows: Any, **options: Any) -> Any:
        """COPY rows in: `bulk.load` (runtime.bulk) with its options."""
        return await awaited(self._store.bulk(rows, options))

    def stream(
        self, *where: Condition, order_by: Order = (), load: Sequence[Path] = (), chunk: int = 500, **fields: Any
    ) -> AsyncIterator[M]:
        """Rows one after the other, `chunk` of them in memory at a time."""
        return self._store.async_stream(Wanted(_all(where, fields), order_by, None, 0, load), chunk)


def _all(where: Sequence[Condition], fields: Row) -> Sequence[Condition]:
    return (*where, fields) if fields else where
