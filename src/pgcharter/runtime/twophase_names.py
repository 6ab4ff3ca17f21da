"""What transactions over several databases are called, what keeps a coordinator's life apart from others, and what can go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import psycopg

from pgcharter.db import queries
from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.policy.two_phase_settings import fits

SQL = queries.load("pgcharter.runtime", "twophase.sql")
LIFE = 0x70673270
"""First half of the advisory lock that a coordinator's session holds as long as it lives; the second is its epoch."""
_FIRST = "pgcharter"


class NotPreparedError(PgcharterError):
    """A participant could not be prepared, so the transaction was rolled back everywhere."""


class InDoubtError(PgcharterError):
    """Everything is prepared, and whether it is to be committed could not be written down or read: `recover` will end it either way."""


@dataclass(frozen=True, slots=True)
class Gid:
    """The name of a participant's prepared transaction: whose it is, where it is decided about, and which one."""

    system: str
    log: str
    """Where its decision is written: `log_of` the log's database."""
    coordinator: str
    epoch: int
    number: int
    participant: str

    def __str__(self) -> str:
        return "/".join((_FIRST, self.system, self.log, self.coordinator, str(self.epoch), str(self.number), self.participant))

    @classmethod
    def parse(cls, text: str) -> Gid | None:
        """The name read back; None for what no coordinator of ours has named."""
        first, *rest = text.split("/")
        if first != _FIRST or len(rest) != 6 or not (rest[3].isdecimal() and rest[4].isdecimal() and rest[3].isascii()):
            return None
        system, log, coordinator, epoch, number, participant = rest
        return cls(system, log, coordinator, int(epoch), int(number), participant)

    @property
    def transaction(self) -> tuple[int, int]:
        """Epoch and number: the key of its decision."""
        return self.epoch, self.number


@dataclass(frozen=True, slots=True)
class Place:
    """A database as a server tells of it."""

    cluster: str
    """System identifier of the server's data."""
    database: int
    """Oid."""
    slots: int
    """max_prepared_transactions."""
    standby: bool
    started: str
    """When the server was started: a copy of its data has the same identifier."""

    @property
    def server(self) -> tuple[str, str]:
        """What tells running servers apart."""
        return self.cluster, self.started

    @classmethod
    def of(cls, result: Any) -> Place:
        """What the query `place` was answered with."""
        cluster, database, slots, standby, started = (result.get_value(0, i).decode() for i in range(5))
        return cls(cluster, int(database), int(slots), standby == "t", started)

    def __str__(self) -> str:
        return f"{self.cluster}/{self.database}"


def log_of(place: Place) -> str:
    """What stands for a log in names: another log knows nothing of its decisions, and must not take their absence for a rollback."""
    return sha256(str(place).encode()).hexdigest()[:12]


def checked(what: str, name: str) -> str:
    """A name that is fit to be part of others. Raises UsageError."""
    if not isinstance(name, str) or not fits(name):
        raise UsageError(f"{what} {name!r} is no name for a transaction over several databases: 1 to 40 letters, digits, _, . or -")
    return name


def missing(error: psycopg.Error) -> UnavailableError:
    """The error of a log that is not there or may not be used."""
    there = isinstance(error, psycopg.errors.InsufficientPrivilege)
    what, remedy = ("may not be used by this role", 'users = ["…"] in ') if there else ("is not there", "")
    return UnavailableError(
        f"pgcharter.two_phase_log {what}, so nobody could tell how a transaction over several databases was decided",
        hint=f"{remedy}[two_phase] of pgcharter.toml, then: pgcharter policy apply",
    )
