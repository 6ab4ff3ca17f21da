"""`[roles]` of the charter: who may do what, in a few lines."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError

LEVELS = ("readonly", "readwrite", "admin")


def _timeout(value: Any) -> None:
    if value and re.fullmatch(r"\d+(us|ms|s|min|h|d)?", value) is None:
        raise UsageError(f"{value!r} is no duration of PostgreSQL", hint="write 500ms, 30s, 5min or 0")


_DURATION = {"check": _timeout}


@dataclass(frozen=True)
class Login:
    """`[[roles.login]]`: a role that a service or person logs in as."""

    name: str
    member_of: tuple[str, ...] = ()
    """What it may do: readonly, readwrite, admin or owner, or the name of another role."""
    environments: tuple[str, ...] = ()
    """Only in these environments of the charter; empty: in all."""
    connection_limit: int = -1
    """Sessions at a time; -1: any number."""
    valid_until: datetime.date | None = None
    """Its password is worth nothing from this day on, at midnight UTC."""
    statement_timeout: str = field(default="", metadata=_DURATION)
    lock_timeout: str = field(default="", metadata=_DURATION)
    idle_in_transaction_timeout: str = field(default="", metadata=_DURATION)
    password_env: str = ""
    """Environment variable with its password, for `pgcharter policy passwords`; the server only ever sees the SCRAM verifier."""
    bypasses_row_security: bool = False
    """For maintenance and dumps only."""


@dataclass(frozen=True)
class Hidden:
    """`[[roles.hidden]]`: columns that a level may not read."""

    table: str
    """Schema and name: app.users."""
    columns: tuple[str, ...]
    levels: tuple[Literal["readonly", "readwrite", "admin"], ...] = ("readonly",)
    """Who may not read them."""


@dataclass(frozen=True)
class RolesSection:
    """`[roles]`: the roles of this database and what they may do."""

    owner: str = ""
    """Role that owns everything and nobody logs in as; empty: owners stay as they are."""
    readonly: str = ""
    """Group that may read; empty: there is none."""
    readwrite: str = ""
    """Group that may read and write rows, and run routines; empty: there is none."""
    admin: str = ""
    """Group that may do everything with rows, TRUNCATE included, and change no structure; empty: there is none."""
    schemas: tuple[str, ...] = ()
    """Schemas that this is about; empty: all of the database's own."""
    creators: tuple[str, ...] = ()
    """Further roles that make objects, so that what they make is granted in the same way."""
    database: bool = True
    """Whether nobody connects to the database, or makes temporary tables, but who is declared here (and who is given it by hand)."""
    connect: tuple[str, ...] = ()
    """Further roles that may connect: of monitoring, say."""
    password_length: int = 12
    """Shortest password that `pgcharter policy passwords` sets, in characters."""
    login: tuple[Login, ...] = ()
    hidden: tuple[Hidden, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for levels that are named and not there, and for roles named twice."""
        levels: Mapping[str, str] = {"owner": self.owner, **{level: getattr(self, level) for level in LEVELS}}
        for login in self.login:
            for group in login.member_of:
                if group in levels and not levels[group]:
                    raise ValueError(f'login {login.name} is {group}, and [roles] names no role for it: write {group} = "…"')
        names = [n for n in (*levels.values(), *(login.name for login in self.login)) if n]
        twice = next((n for n in names if names.count(n) > 1), "")
        if twice:
            raise ValueError(f"role {twice} has two meanings in [roles]: one role has one")

    def role_of(self, level: str) -> str:
        """The role behind a level; other words are names of roles themselves."""
        return str(getattr(self, level)) if level in (*LEVELS, "owner") else level


SECTION = Section("roles", RolesSection)
