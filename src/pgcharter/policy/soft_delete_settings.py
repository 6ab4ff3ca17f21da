"""`[soft_delete]` of the charter: tables whose rows are marked as deleted, keys that only living rows hold, and who keeps `updated_at`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from pgcharter.charter import Section
from pgcharter.names import ObjectId, address


@dataclass(frozen=True)
class LivingKey:
    """`[[soft_delete.unique]]`: columns that are unique among living rows, so that a deleted row's values can be used again."""

    table: str
    """Schema and name: app.users."""
    columns: tuple[str, ...]
    name: str = ""
    """Name of the unique index; empty: uq_ with table and columns."""
    nulls_not_distinct: bool = False
    """Whether NULL equals NULL."""

    def __post_init__(self) -> None:
        """Raise ValueError for a key without columns, and for what is no address."""
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"unique key of {self.table} names no column, or one twice")
        address(f"table {self.table}")

    @property
    def id(self) -> ObjectId:
        """The table."""
        return address(f"table {self.table}")


@dataclass(frozen=True)
class SoftDeleteSection:
    """`[soft_delete]`: rows that are marked by the time of their deletion instead of deleted (`pgcharter.runtime.models_soft_delete`)."""

    tables: tuple[str, ...] = ()
    """Tables as schema.name; * stands for anything: app.*."""
    except_tables: tuple[str, ...] = ()
    """Tables that are not meant although a pattern of `tables` fits."""
    column: str = "deleted_at"
    """When a row was deleted; NULL: it is alive."""
    purge_index: bool = True
    """An index of deleted rows by time, for `purge`."""
    unique: tuple[LivingKey, ...] = ()
    touch: tuple[str, ...] = ()
    """Tables, as in `tables`, whose `touch_column` a trigger sets to now() with every UPDATE, whoever makes it."""
    touch_column: str = "updated_at"

    def __post_init__(self) -> None:
        """Raise ValueError for a key of a table whose rows are not marked, and for one that is declared twice."""
        keys = [(k.id, k.columns) for k in self.unique]
        for table, columns in keys:
            if not self.marks(f"{table.schema}.{table.name}"):
                raise ValueError(f"unique key ({', '.join(columns)}) is of {table.sql()}, which is not among the tables of [soft_delete]")
        if len(set(keys)) < len(keys):
            raise ValueError("a unique key is declared twice in [soft_delete]")

    def marks(self, table: str) -> bool:
        """Whether rows of a table, given as schema.name, are marked as deleted."""
        return _fits(self.tables, table) and not _fits(self.except_tables, table)

    def touches(self, table: str) -> bool:
        """Whether a trigger keeps the time of the last change of a table's rows."""
        return _fits(self.touch, table)


def _fits(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, p) for p in patterns)


SECTION = Section("soft_delete", SoftDeleteSection)
