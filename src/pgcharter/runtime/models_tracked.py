"""Dictionaries and lists of a document that tell their object when they are changed in place, at any depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.ext.mutable import Mutable

C = TypeVar("C", bound=type)


class Tracked(Mutable):
    """What is at the top of a document: a dictionary or list that is tracked, anything else as it is."""

    @classmethod
    def coerce(cls, key: str, value: Any) -> Any:  # noqa: ARG003
        """A tracked copy of what is assigned or loaded."""
        return tracked(value)


class _Node(Tracked):
    """A dictionary or list within a document. Only the one at the top has objects to tell."""

    above: _Node | None = None

    def changed(self) -> None:
        """Tell the objects that hold the document."""
        node: _Node = self
        while node.above is not None:
            node = node.above
        Mutable.changed(node)


def _changing(*names: str) -> Callable[[C], C]:
    def dress(cls: C) -> C:
        for name in names:
            setattr(cls, name, _told(getattr(cls, name), taken=name in ("pop", "popitem")))
        return cls

    return dress


def _told(method: Any, *, taken: bool) -> Any:
    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = method(self, *args, **kwargs)
        for one in found if taken and isinstance(found, tuple) else (found,) if taken else ():
            if isinstance(one, _Node):
                one.above = None
        self._adopt()
        self.changed()
        return found

    change.__name__, change.__doc__ = method.__name__, method.__doc__
    return change


@_changing("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update")
class TrackedDict(_Node, dict[str, Any]):
    """A dictionary that tells."""

    def _adopt(self) -> None:
        for key, value in self.items():
            dict.__setitem__(self, key, _below(self, value))


@_changing("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort")
class TrackedList(_Node, list[Any]):
    """A list that tells."""

    def _adopt(self) -> None:
        for n, value in enumerate(self):
            list.__setitem__(self, n, _below(self, value))


def _below(above: Any, value: Any) -> Any:
    if isinstance(value, _Node) and value.above is above:
        return value
    made = tracked(value)
    if isinstance(made, _Node):
        made.above = above
    return made


def tracked(value: Any) -> Any:
    """A copy whose dictionaries and lists tell; one that has no place yet is taken as it is."""
    if isinstance(value, _Node) and value.above is None:
        return value
    if isinstance(value, dict):
        made: Any = TrackedDict(value)
    elif isinstance(value, list | tuple):
        made = TrackedList(value)
    else:
        return value
    made._adopt()
    return made


def plain(value: Any) -> Any:
    """The same without tracking, as JSON is written from it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
