"""What a repository works on: a session of SQLAlchemy, or memory in tests; and what both say alike."""
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.filters import unknown
from pgcharter.runtime.pages import Page, Pager

M = TypeVar("M")
Several = list
"""A list, where a method has that name."""
Condition = Any
"""A filter as mapping, what `Filters.read` gives, or a condition of SQLAlchemy."""
Order = Any
"""`"-created_at"`, an attribute, or several of them."""
Path = Any
"""A relationship by attribute or by path: `"lines.product"`."""
AGGREGATES = ("count", "count_distinct", "sum", "avg", "min", "max")


class NotFoundError(PgcharterError):
    """There is no row with this key; in an answer to a request it is 404."""

    def __init__(self, model: type, key: Any) -> None:
        super().__init__(f"there is no {model.__name__} with key {key!r}")
        self.model, self.key = model, key


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, in which order."""

    where: Sequence[Condition] = ()
    order_by: Order = ()
    limit: int | None = None
    offset: int = 0
    load: Sequence[Path] = ()


class Store(Protocol[M]):
    """What a repository asks for. Each answer is a generator for both colours (`runtime.colours`)."""

    model: type[M]

    def get(self, key: Any, load: Sequence[Path]) -> Steps[M | None]: ...
    def list(self, wanted: Wanted) -> Steps[Several[M]]: ...
    def page(self, pager: Pager, cursor: str | None, wanted: Wanted) -> Steps[Page[M]]: ...
    def search(self, text: str, wanted: Wanted) -> Steps[Several[M]]: ...
    def exists(self, where: Sequence[Condition]) -> Steps[bool]: ...
    def count(self, where: Sequence[Condition], exact: bool) -> Steps[int]: ...
    def aggregate(
        self, where: Sequence[Condition], by: Sequence[str], what: Mapping[str, tuple[str, str]]
    ) -> Steps[Several[dict[str, Any]]]: ...
    def add(self, items: Sequence[M]) -> Steps[None]: ...
    def insert(self, rows: Sequence[Mapping[str, Any]]) -> Steps[Several[M]]: ...
    def update(self, key: Any, values: Mapping[str, Any]) -> Steps[M | None]: ...
    def update_where(self, where: Sequence[Condition], values: Mapping[str, Any]) -> Steps[int]: ...
    def upsert(
        self,
        rows: Sequence[Mapping[str, Any]],
        on: str | Sequence[str],
        conflict: Literal["update", "ignore"],
        update: Sequence[str] | None,
    ) -> Steps[Several[M]]: ...
    def delete(self, key: Any) -> Steps[bool]: ...
    def delete_where(self, where: Sequence[Condition]) -> Steps[int]: ...
    def bulk(self, rows: Any, options: Mapping[str, Any]) -> Steps[Any]: ...
    def stream(self, wanted: Wanted, chunk: int) -> Iterator[M]: ...
    def async_stream(self, wanted: Wanted, chunk: int) -> AsyncIterator[M]: ...


class Named(Generic[M]):
    """Names of a mapped class, checked."""

    def __init__(self, model: type[M], names: Iterable[str]) -> None:
        self._model, self._names = model, frozenset(names)

    def check(self, given: Iterable[str]) -> None:
        """Raise UsageError for a name that is not there."""
        for name in given:
            if name not in self._names:
                raise UsageError(unknown(f"{self._model.__name__} has no field", name, self._names))

    def ordered(self, part: str) -> tuple[str, bool]:
        """The field of `-created_at`, and whether it goes down."""
        name = part.lstrip("+-")
        self.check([name])
        return name, part.startswith("-")


def aggregates(given: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Name, function and field of each. Raises UsageError for a function that there is not."""
    read = {}
    for name, what in given.items():
        function, field = (what, "") if isinstance(what, str) else what
        if function not in AGGREGATES:
            raise UsageError(unknown("there is no aggregate", function, AGGREGATES))
        if not field and function != "count":
            raise UsageError(f"{name}={function!r} does not say of which field", hint=f"{name}=({function!r}, 'total')")
        read[name] = (function, field)
    if not read:
        raise UsageError("nothing is to be aggregated", hint='orders="count", total=("sum", "total")')
    return read


def listed(order_by: Order) -> list[Any]:
    """The parts of an order, however it was given."""
    return list(order_by) if isinstance(order_by, list | tuple) else [order_by]
