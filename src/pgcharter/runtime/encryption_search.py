"""Encrypted attributes of SQLAlchemy's mapped classes in queries: compared by their blind indexes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, inspect, literal_column, or_

if TYPE_CHECKING:
    from pgcharter.runtime.encryption_sqlalchemy import Encrypted


class Searched:
    """An encrypted attribute of a class, in a query: compared by its blind index."""

    def __init__(self, attribute: Encrypted, owner: Any) -> None:
        self._attribute, self._owner = attribute, owner

    def __get__(self, instance: object, owner: Any) -> Searched:
        """The attribute of an alias: `aliased(User).email`."""
        return Searched(self._attribute, owner)

    def matches(self, value: Any, form: str = "", *, tenant: object = None) -> ColumnElement[bool]:
        """Rows whose value is this one, by a form of its blind index (the first by default), for a tenant where values are bound to one.

        Few bits find a few other rows too: compare the value that is read.
        """
        return self.in_((value,), form, tenant=tenant)

    def in_(self, values: Iterable[Any], form: str = "", *, tenant: object = None) -> ColumnElement[bool]:
        """Rows whose value is one of these; None among them: rows without a value too."""
        names, cipher = self._attribute._attributes(inspect(self._owner).mapper.class_), self._attribute._cipher
        wanted = tuple(values)
        empty: Any = getattr(self._owner, names.stored).is_(None)
        if wanted and all(v is None for v in wanted):
            return empty  # type: ignore[no-any-return]
        found = [digest for v in wanted if v is not None for digest in cipher.lookups(v, form, tenant=tenant)]
        chosen = form or cipher.spec.search[0]
        column: Any = getattr(self._owner, names.blinds[chosen])
        if cipher.spec.is_unique(chosen):
            column = func.substring(column, literal_column("1"), literal_column(str(cipher.spec.digest)))
        return or_(column.in_(found), empty) if None in wanted else column.in_(found)

    def is_(self, value: None) -> ColumnElement[bool]:
        """Rows without a value."""
        return self.matches(value)

    def __ne__(self, value: object) -> ColumnElement[bool]:  # type: ignore[override]
        return ~self.matches(value)

    def __eq__(self, value: object) -> ColumnElement[bool]:  # type: ignore[override]
        return self.matches(value)

    __hash__ = None  # type: ignore[assignment]
