"""`[retention]` of the charter: partitions that come and go with time, how long rows are kept, and what then becomes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds
from pgcharter.names import ObjectId, address
from pgcharter.policy.retention_spans import Period, Span, period, span

FILES = ("parquet", "jsonl", "csv")
"""Forms of archives outside of the database."""
_TIMES: dict[str, Any] = {"check": seconds}


def _period(value: Any) -> None:
    period(value)


def _between(least: int, most: int) -> dict[str, Any]:
    def check(value: Any) -> None:
        if not least <= value <= most:
            raise UsageError(f"it is {value}, and must be between {least:,} and {most:,}")

    return {"check": check}


@dataclass(frozen=True)
class PartitionTable:
    """`[[retention.partition]]`: a table in partitions by time, made beforehand and taken out when they are old."""

    table: str
    """Table that is partitioned by RANGE of one column, schema.table."""
    period: str = field(default="month", metadata={"check": _period})
    """How long a partition lasts: day, week, month, quarter, year, or hours that divide a day: "6 hours"."""
    ahead: int = field(default=3, metadata=_between(1, 1000))
    """Partitions that are ready beyond the one of now."""
    past: int = field(default=1, metadata=_between(0, 1000))
    """Partitions before the one of now that are made where none is, for rows that come late."""
    keep: str = ""
    """How long rows are kept: "7y", "18 months", "4w", "90d", or a name in [retention.classes]; empty: for ever."""
    how: Literal["drop", "keep", "schema", "parquet", "jsonl", "csv"] = "drop"
    """What becomes of an old one: dropped; left beside as a table; moved to a schema; written to a file, read back, dropped."""
    to: str = ""
    """Schema or folder that it goes to."""
    name: str = ""
    """Names, of {table}, {year}, {month}, {day}, {hour}, {quarter}, {weekyear}, {week}; empty: {table}_y2026m11."""
    zone: str = "UTC"
    """Time zone at whose midnight days, weeks, months and years begin, for timestamp with time zone."""

    def __post_init__(self) -> None:
        """Raise ValueError for a place that is missing, a zone that is not known, names that would not tell partitions apart."""
        address(f"table {self.table}")
        if self.how in (*FILES, "schema") and not self.to:
            raise ValueError(f'partitions of {self.table} go to a {"schema" if self.how == "schema" else "folder"}: to = "…" says which')
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{self.zone!r} is no time zone that is known here") from None
        _names_differ(self)

    @property
    def id(self) -> ObjectId:
        """The table."""
        return address(f"table {self.table}")

    @property
    def lasts(self) -> Period:
        """The period."""
        return period(self.period)

    @property
    def place(self) -> ZoneInfo:
        """The zone."""
        return ZoneInfo(self.zone)


def _names_differ(table: PartitionTable) -> None:
    form = table.name or table.lasts.form
    now = table.lasts.start(datetime(2026, 12, 15, 12, tzinfo=UTC), table.place)
    starts = [table.lasts.after(now, n, table.place) for n in range(60)]
    try:
        made = {form.format(table="t", **table.lasts.words(s, table.place)) for s in starts}
    except (KeyError, IndexError, ValueError, AttributeError):
        raise ValueError(f"{form!r} is no form of names: only {{table}}, {{year}}, {{month}}, {{day}}, {{hour}}, {{quarter}} …") from None
    if len(made) < len(starts):
        raise ValueError(f"{form!r} gives partitions of different times the same name")


@dataclass(frozen=True)
class RuleTable:
    """`[[retention.rule]]`: rows that leave their table when their time is over, in batches."""

    tables: tuple[str, ...]
    """Tables as schema.table; * stands for anything: app.*_log."""
    column: str = "created_at"
    """Column that says when a row's time began."""
    keep: str = "1y"
    """How long it is kept: "7y", "18 months", "90d", or a name in [retention.classes]."""
    how: Literal["archive", "parquet", "jsonl", "csv", "delete"] = "archive"
    """What becomes of it: moved to a table of the same shape; written to files, read back, deleted; deleted."""
    to: str = ""
    """Archive: schema of the archive tables, or schema.table when it is one table; empty: <table>_archive beside it. Files: folder."""
    where: str = ""
    """Further condition, in SQL: status = 'closed'."""
    batch: int = field(default=0, metadata=_between(0, 1_000_000))
    """Rows that leave in one transaction, and so are in one file; 0: 5,000, or 100,000 for files."""

    def __post_init__(self) -> None:
        """Raise ValueError for a rule about no table, and one without a folder for its files."""
        if not self.tables:
            raise ValueError("a rule of [retention] names no table")
        if self.how in FILES and not self.to:
            raise ValueError(f'rows of {", ".join(self.tables)} go to a folder: to = "…" says which')

    def means(self, table: ObjectId) -> bool:
        """Whether it is about a table."""
        return any(fnmatchcase(f"{table.schema}.{table.name}", p) for p in self.tables) or any(p == table.sql() for p in self.tables)


@dataclass(frozen=True)
class PurgeTable:
    """`[retention.purge]`: rows marked as deleted, by `[soft_delete]`, that are really deleted after a while."""

    keep: str = ""
    """How long after they were marked; empty: they stay."""
    how: Literal["archive", "parquet", "jsonl", "csv", "delete"] = "delete"
    """What becomes of them, as in rules."""
    to: str = ""
    """Where to, as in rules."""
    batch: int = field(default=0, metadata=_between(0, 1_000_000))
    """Rows that leave in one transaction, as in rules."""


@dataclass(frozen=True)
class RetentionSection:
    """`[retention]`: how long data is kept; `pgcharter.legal_holds` says what must stay, `pgcharter.retention_runs` what has left."""

    classes: Mapping[str, str] = field(default_factory=dict)
    """Class of data → how long it is kept: { orders = "7y", analytics = "2y", logs = "1y" }."""
    partition: tuple[PartitionTable, ...] = ()
    rule: tuple[RuleTable, ...] = ()
    purge: PurgeTable = field(default_factory=PurgeTable)
    lock_timeout: str = field(default="2s", metadata=_TIMES)
    """Longest wait for a lock, and so longest time that others queue behind it."""
    tries: int = field(default=10, metadata=_between(1, 1000))
    """How often something is tried when its lock is not to be had."""
    workers: tuple[str, ...] = ()
    """Roles that may carry out retention and place holds; the owner may always."""
    readers: tuple[str, ...] = ()
    """Roles that may read holds and history, such as the auditors'."""

    def __post_init__(self) -> None:
        """Raise ValueError for a time that means nothing, and for a table that is partitioned twice."""
        for name, text in self.classes.items():
            if re.match(r"\s*\d", text) is None:
                raise ValueError(f"class {name!r} of [retention.classes] must be a time, not {text!r}")
            self.kept(text)
        for keep in (*(p.keep for p in self.partition), *(r.keep for r in self.rule), self.purge.keep):
            self.kept(keep)
        tables = [p.id for p in self.partition]
        if len(set(tables)) < len(tables):
            raise ValueError("a table is declared twice as [[retention.partition]]")

    def kept(self, keep: str) -> Span | None:
        """How long, from a span or the name of a class; None for ever. Raises ValueError."""
        if not keep:
            return None
        text = self.classes.get(keep, keep)
        if re.fullmatch(r"\s*\d.*", text) is None:
            known = ", ".join(self.classes) or "none is declared"
            raise ValueError(f"{keep!r} is neither a time nor a class of [retention.classes] ({known})")
        try:
            return span(text)
        except UsageError as error:
            raise ValueError(error.message) from None


SECTION = Section("retention", RetentionSection)
