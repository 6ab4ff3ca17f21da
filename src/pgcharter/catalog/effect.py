"""What a statement does to everybody else while it runs: locks, rewrites, scans. As data; who found it out is told elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pgcharter.names import ObjectId


class Mode(IntEnum):
    """PostgreSQL's table-level lock modes, weakest first (documentation, "Table-Level Locks")."""

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def sql(self) -> str:
        """The mode in SQL's words: `SHARE ROW EXCLUSIVE`."""
        return self.name.replace("_", " ")

    @property
    def stops_reads(self) -> bool:
        """Whether a plain SELECT waits for it."""
        return self is Mode.ACCESS_EXCLUSIVE

    @property
    def stops_writes(self) -> bool:
        """Whether INSERT, UPDATE and DELETE wait for it."""
        return self >= Mode.SHARE


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """A lock that a statement takes and keeps to the end of its transaction."""

    relation: ObjectId
    """A table (kind `table`, whatever sort), view, materialized view, index or sequence."""
    mode: Mode


@dataclass(frozen=True, slots=True)
class Effect:
    """What a statement does to everybody else. Measured on a server, or looked up in what servers have shown (`plan.safety`)."""

    locks: tuple[Lock, ...] = ()
    """The strongest on each relation that was there before; on those the statement itself makes there is nobody to disturb."""
    rewrites: tuple[ObjectId, ...] = ()
    """Tables, materialized views and indexes whose file is written anew, with the lock held."""
    scans: tuple[ObjectId, ...] = ()
    """Tables that are read whole: a constraint is checked, or an index built."""
    transactional: bool = True
    """False: PostgreSQL refuses it inside a transaction block."""
    known: bool = True
    """False when no server has shown it: then what is said here is the worst of the forms that it might be."""
    forms: tuple[str, ...] = ()
    """Keys of the oracle's forms it was recognised as."""

    @property
    def strongest(self) -> Mode | None:
        """The strongest lock on any table or materialized view; None without one."""
        return max((lock.mode for lock in self.locks if lock.relation.kind in ("table", "materialized view")), default=None)

    def on(self, relation: ObjectId) -> Mode | None:
        """The lock on `relation`; None without one."""
        return max((lock.mode for lock in self.locks if lock.relation == relation), default=None)
