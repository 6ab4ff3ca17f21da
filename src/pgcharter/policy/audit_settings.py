"""`[audit]` of the charter: whose rows keep their history, what of them, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError

Classes = Literal["read", "write", "function", "role", "ddl", "misc", "misc_set", "all"]
"""What pgAudit can log (its documentation, `pgaudit.log`)."""


def _of_columns(value: Any) -> None:
    for name in value:
        if name.count(".") < 2:
            raise UsageError(f"{name!r} names no columns", hint="write schema.table.column; * stands for anything: app.users.*_hash")


_COLUMNS = {"check": _of_columns}


@dataclass(frozen=True)
class AuditSection:
    """`[audit]`: rows whose history is kept in `pgcharter.audit_log`."""

    tables: tuple[str, ...] = ()
    """Tables as schema.name; * stands for anything: app.*. With none, what was recorded stays and can be read and verified."""
    except_tables: tuple[str, ...] = ()
    """Tables that are not meant although a pattern of `tables` fits."""
    content: Literal["full", "difference"] = "full"
    """Of an UPDATE: whole rows before and after, or only the columns that differ. Both lead back to the row at any time."""
    left_out: tuple[str, ...] = field(default=(), metadata=_COLUMNS)
    """Columns as schema.table.column that are never recorded, nor that they changed."""
    masked: tuple[str, ...] = field(default=(), metadata=_COLUMNS)
    """Columns of which is recorded that they changed, and `***` for their values."""
    unchanged: bool = False
    """Record UPDATEs that leave the row as it was, too."""
    retention_months: int = 0
    """Whole months that are kept, beside the one that runs, before `pgcharter audit retire` drops them; 0: for ever."""
    ahead_months: int = 3
    """Partitions that are made beforehand. Rows for which there is none are kept apart, and `pgcharter audit status` says so."""
    chain: bool = True
    """Whether `pgcharter audit seal` seals what was recorded in a chain of hashes."""
    schema_changes: bool = False
    """Record CREATE, ALTER, DROP and the like. Only superusers can make the event triggers that this needs."""
    owner: str = ""
    """Role that owns trail and functions and nobody logs in as; empty: whoever runs the plan, or owns the database."""
    readers: tuple[str, ...] = ()
    """Roles that may read the trail."""
    sealer: str = ""
    """Role that may seal it, as well; empty: only its owner may."""
    trail: Literal["keep", "drop"] = "keep"
    """`drop` gives audit up with everything it recorded."""
    pgaudit: tuple[Classes, ...] = ()
    """What the extension pgAudit is to log beside, statement by statement, in the server's log; empty: nothing is asked of it."""

    def __post_init__(self) -> None:
        """Raise ValueError for numbers of months that mean nothing, and for a trail that is dropped and kept."""
        if self.retention_months < 0 or not 1 <= self.ahead_months <= 120:
            raise ValueError("retention_months is 0 or more, ahead_months between 1 and 120")
        if self.trail == "drop" and self.tables:
            raise ValueError('trail = "drop" gives audit up, and tables are named to be recorded: take one of both out')

    def records(self, table: str) -> bool:
        """Whether the rows of a table, given as schema.name, are to be recorded."""
        return fits(self.tables, table) and not fits(self.except_tables, table)


def fits(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns fits."""
    return any(fnmatchcase(name, p) for p in patterns)


SECTION = Section("audit", AuditSection)
