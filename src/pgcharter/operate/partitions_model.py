"""Partitions by time as values: what is there, and what shall be done about it with which lock. No input or output."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pgcharter.names import ObjectId, literal
from pgcharter.policy.retention_settings import PartitionTable

Kind = Literal["create", "finish", "detach", "release"]
"""create; finish: end a detach that was interrupted; detach; release: what was taken out gets what becomes of old partitions."""
_MARK = re.compile(r"\n?\[pgcharter: partition of (?P<parent>.+?) FROM (?P<low>\S+ \S+) TO (?P<high>\S+ \S+)\]\Z", re.DOTALL)
_STAMP = "%Y-%m-%d %H:%M:%S%z"


@dataclass(frozen=True)
class Part:
    """A partition, or a table that was one."""

    id: ObjectId
    low: datetime | None
    """Its first moment, in UTC; None for DEFAULT and what is not by time."""
    high: datetime | None
    bound: str = ""
    kind: str = "r"
    """As pg_class.relkind."""
    pending: bool = False
    """A concurrent detach was interrupted."""
    comment: str = ""
    rows: int = 0
    """As the server last counted them; -1: never."""
    bytes: int = 0

    @property
    def marked(self) -> bool:
        """Whether a run was about to take it out."""
        return _MARK.search(self.comment) is not None


@dataclass(frozen=True)
class Look:
    """What is known about a declared table."""

    table: PartitionTable
    now: datetime
    """The server's clock, or the one that was given."""
    problem: str = ""
    """Why nothing can be done with it; one sentence."""
    hint: str = ""
    alone: str = ""
    """Who else manages it, so that it is left alone."""
    column: str = ""
    type: str = ""
    """`typname` of the column."""
    parts: tuple[Part, ...] = ()
    default: ObjectId | None = None
    left: tuple[Part, ...] = ()
    """Tables that were partitions of it, and whose leaving was not ended."""

    @property
    def id(self) -> ObjectId:
        """The table."""
        return self.table.id


@dataclass(frozen=True)
class Action:
    """Something that shall be done to a partition."""

    kind: Kind
    table: ObjectId
    part: ObjectId
    why: str
    lock: str
    """What others have to wait for meanwhile."""
    low: datetime
    high: datetime
    sql: tuple[str, ...] = ()
    """The statement that matters; how a table is dressed comes from the catalog when it is made."""
    concurrently: bool = True
    over: bool = True
    """Whether all of its time is over, so that what becomes of old partitions becomes of it."""
    rows: int = 0
    """As the server last counted them."""

    @property
    def bound(self) -> str:
        """FOR VALUES …, which means the same in every time zone."""
        return self.sql[-1].partition("PARTITION ")[2] if self.sql else ""


@dataclass(frozen=True)
class TablePlan:
    """What shall be done about one table, in this order."""

    look: Look
    actions: tuple[Action, ...] = ()
    problems: tuple[str, ...] = ()
    """What is not as it should be, and no action mends."""
    notes: tuple[str, ...] = ()
    ahead: int = 0
    """Partitions that are ready beyond now, before anything is done."""


@dataclass(frozen=True)
class Done:
    """What became of an action."""

    action: Action
    problem: str = ""
    """Why it was not done; empty: it was."""
    tries: int = 1
    waited: float = 0.0
    """Seconds that its statements took in the last try, hence the longest that others could wait for."""
    said: str = ""


@dataclass
class Result:
    """What a run has done about one table."""

    plan: TablePlan
    done: list[Done] = field(default_factory=list)
    unlike: tuple[str, ...] = ()
    """What is not in its partitions as it is in the table."""
    ahead: int = 0


def bound_text(column_type: str, low: datetime, high: datetime) -> str:
    """The bounds of a partition in SQL."""
    zone = "+00" if column_type == "timestamptz" else ""
    form = "%Y-%m-%d" if column_type == "date" else f"%Y-%m-%d %H:%M:%S{zone}"
    return f"FOR VALUES FROM ({literal(_year(low, form))}) TO ({literal(_year(high, form))})"


def _year(at: datetime, form: str) -> str:
    return at.strftime(form.replace("%Y", f"{at.year:04}"))


def mark(comment: str, parent: ObjectId, part: Part) -> str:
    """A partition's comment with what it was a partition of, so that whoever finds it detached knows."""
    assert part.low is not None  # noqa: S101
    assert part.high is not None  # noqa: S101
    return f"{comment}\n[pgcharter: partition of {parent.sql()} FROM {_year(part.low, _STAMP)} TO {_year(part.high, _STAMP)}]".lstrip("\n")


def unmarked(comment: str) -> str:
    """The comment without that."""
    return _MARK.sub("", comment)


def was_of(comment: str) -> tuple[str, datetime, datetime] | None:
    """The table that a marked table was a partition of, as SQL writes it, and its bounds."""
    found = _MARK.search(comment)
    if found is None:
        return None
    return found["parent"], datetime.strptime(found["low"], _STAMP), datetime.strptime(found["high"], _STAMP)


def name_of(table: PartitionTable, low: datetime) -> ObjectId:
    """What the partition of a period is called; the table's own name is cut where PostgreSQL would cut, not what tells partitions apart."""
    import hashlib

    form, words = table.name or table.lasts.form, table.lasts.words(low, table.place)
    name = form.format(table=table.id.name, **words)
    if len(name.encode()) > _MOST:
        digest = hashlib.sha256(table.id.name.encode()).hexdigest()[:6]
        room = _MOST - len(form.format(table="", **words).encode()) - len(digest) - 1
        short = table.id.name.encode()[: max(0, room)].decode(errors="ignore")
        name = form.format(table=f"{short}_{digest}", **words)
    return ObjectId("table", table.id.schema, name)


_MOST = 63


def comment_sql(table: ObjectId, text: str) -> str:
    """COMMENT ON TABLE."""
    return f"COMMENT ON TABLE {table.sql()} IS {literal(text) if text else 'NULL'}"
