"""Columns of mixins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Mapped, declared_attr

T = TypeVar("T")


def declared(function: Callable[[Any], Mapped[T]]) -> declared_attr[T]:
    """`declared_attr` for mixins of ordinary classes and of dataclasses.

    SQLAlchemy takes what has an annotation for a field of the dataclass, which a mixin that is none itself cannot have.
    """
    function.__annotations__ = {}
    return declared_attr(function)
