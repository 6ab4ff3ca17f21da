"""The only writer of DDL: one Operation → the plain statements that do it, quoted and qualified, without semicolons.

Plain means: the shortest form that is right when nobody else uses the database. What is kind to others is the business of `plan.safe`.
The kinds are spread over `ddl_*.py`; each has a `WRITERS` mapping. Comments, owners and privileges are written here, for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from pgcharter.catalog.model import Catalog
from pgcharter.plan.model import Operation

METADATA = frozenset(("comment", "owner", "acl"))
"""Fields that every kind has and `ddl_common.metadata` writes."""
_MODULES: tuple[str, ...] = (
    "ddl_tables",
    "ddl_columns",
    "ddl_constraints",
    "ddl_indexes",
    "ddl_members",
    "ddl_views",
    "ddl_sequences",
    "ddl_routines",
    "ddl_types",
    "ddl_schemas",
    "ddl_replication",
    "ddl_foreign",
    "ddl_others",
)
"""Names of the `ddl_*` modules."""


@dataclass(frozen=True)
class Sides:
    """The catalogs an operation stands between."""

    a: Catalog
    """Before: where `drop` and `alter` look up what surrounds `operation.old`."""
    b: Catalog
    """After: where `create` and `alter` look up what surrounds `operation.new`."""

    @property
    def major(self) -> int:
        """Major version of the server the statements are for."""
        return self.b.major or self.a.major


Write = Callable[[Operation, Sides], list[str]]


@dataclass(frozen=True)
class Writer:
    """How one kind of object is written. Comments, owner and privileges of the object itself are not its business."""

    create: Write
    drop: Write
    alter: Callable[[Operation, Sides], list[str] | None]
    """From `old` to `new` where PostgreSQL can do it in place; None where the object must be dropped and created anew. Never sees the
    fields of `METADATA`."""
    rename: Write | None = None
    """From `old.name` to `new.name`, in the same schema; None for kinds without a name to change."""


@cache
def writers() -> Mapping[str, Writer]:
    """Writers by kind of object."""
    found: dict[str, Writer] = {}
    for name in _MODULES:
        found.update(import_module(f"pgcharter.plan.{name}").WRITERS)
    return found


def statements(operation: Operation, sides: Sides) -> tuple[str, ...]:
    """The statements of one operation, in order.

    Raises LookupError for an alteration that cannot be made in place (see `in_place`), and ValueError, with a sentence for the reader of
    the plan, for what no statement can do or what the catalog does not know enough of (secrets, functions in C).
    """
    from pgcharter.plan.ddl_common import kind_of, of

    writer = writers()[kind_of(operation, sides)]
    if operation.change == "create":
        return (*writer.create(operation, sides), *of(operation, sides))
    if operation.change == "drop":
        return tuple(writer.drop(operation, sides))
    if operation.change == "rename":
        if writer.rename is None:
            raise LookupError(f"{operation.object} cannot be renamed")
        return tuple(writer.rename(operation, sides))
    written = _altered(operation, sides)
    if written is None:
        raise LookupError(f"{operation.object} cannot be altered in place")
    return (*written, *of(operation, sides))


def in_place(operation: Operation, sides: Sides) -> bool:
    """Whether an alteration can be made without dropping the object. Raises ValueError as `statements` does."""
    return _altered(operation, sides) is not None


def _altered(operation: Operation, sides: Sides) -> list[str] | None:
    if METADATA.issuperset(operation.fields):
        return []
    from pgcharter.plan.ddl_common import kind_of

    return writers()[kind_of(operation, sides)].alter(operation, sides)
