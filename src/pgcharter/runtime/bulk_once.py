"""Rows that can be read once only, in a unit of work that may be done again: what is left of them is not taken for all there is."""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from pgcharter.errors import UsageError
from pgcharter.runtime.bulk_rows import Csv
from pgcharter.runtime.work import AnyWork, current_work

_KEPT = 64
"""Sources remembered, at most: those of tries that were rolled back last."""
_spent: dict[int, tuple[Callable[[], Any], Any]] = {}
_lock = threading.Lock()


def unit_of(conn: Any) -> AnyWork | None:
    """The unit of work around here, where a connection or session is its own."""
    work = current_work()
    return work if work is not None and (conn is work._conn or conn is work._session) else None


def read_once(conn: Any, rows: Any) -> None:
    """Note an iterator that a unit of work reads from. Raises UsageError where an earlier one has, and was rolled back."""
    source = rows.file if isinstance(rows, Csv) else rows
    if not isinstance(source, Iterator | AsyncIterator):
        return
    known = _spent.get(id(source))
    if known is not None and known[0]() is source and known[1] == _place(source):
        raise UsageError(
            "the rows come from an iterator that an earlier try has read from, and that was rolled back: the rest alone would be stored",
            hint="make the iterator inside the function of the unit of work, or give a list, a frame or a file by its path",
        )
    unit = unit_of(conn)
    if unit is not None:
        unit.after_rollback(partial(_note, source))


def _note(source: Any) -> None:
    try:
        there: Callable[[], Any] = weakref.ref(source)
    except TypeError:  # iterators of lists, map, zip
        there = partial(_itself, source)
    with _lock:
        _spent[id(source)] = there, _place(source)
        while len(_spent) > _KEPT:
            del _spent[next(iter(_spent))]


def _itself(source: Any) -> Any:
    return source


def _place(source: Any) -> Any:
    """Where a file is that can be put back to its beginning; None for what cannot."""
    try:
        return source.tell() if source.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None
