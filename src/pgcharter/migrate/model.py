"""A migration as data: what a file says, in pieces that the runner does one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pgcharter.plan.model import Backfill

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.work import Work

ALEMBIC = "alembic"
"""Layout of the revisions of an Alembic project."""
Kind = Literal["versioned", "repeatable", "data"]


class Program(Protocol):
    """Work that a program of the project does, and not statements that are known beforehand."""

    def prepare(self, conn: Connection) -> None:
        """Make `conn`, the runner's session, ready: before the first migration of a run."""

    def run(self, work: Work) -> str:
        """Do the work and record it; why nothing had to be done, if so. Raises EndError, psycopg's errors for what may be tried again."""

    def end(self) -> None:
        """Clear up at the end of a run, however it ended."""

    @property
    def unknown(self) -> str:
        """Why `statements` may not be all; empty when they are."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is done in one go and recorded as done: a transaction, a statement that allows none, a backfill, or a gate."""

    statements: tuple[str, ...] = ()
    """SQL texts without semicolons; empty for a gate."""
    transactional: bool = True
    """False: a single statement that PostgreSQL refuses inside a transaction block, or that asks to stand alone."""
    backfill: Backfill | None = None
    """Then `statements` holds the one UPDATE it stands for."""
    gate: str = ""
    """What must be true of the application before anything after this runs."""
    line: int = 0
    """First line in the file, from 1."""
    program: Program | None = None
    """Then `statements` holds what is known of it beforehand."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file, or a pair of files for the two directions."""

    version: str
    """As written, with leading zeros; empty for a repeatable one."""
    name: str
    """The rest of the file's name: `add_total`."""
    kind: Kind = "versioned"
    """repeatable: runs again whenever its text changes. data: changes rows only, and is kept apart from changes of the schema."""
    layout: str = ""
    """Which of the known layouts the file follows."""
    path: Path | None = None
    file: str = ""
    """The file as the user named it."""
    checksum: str = ""
    """SHA-256 of the text, in hexadecimal, with line ends made \\n and without a byte order mark."""
    text: str = field(default="", repr=False)
    up: tuple[Unit, ...] = ()
    down: tuple[Unit, ...] | None = None
    """None: nobody wrote a way back."""
    down_file: str = ""
    """The file with the way back, as the user named it, when it is one of its own."""
    down_text: str = field(default="", repr=False)
    line: int = 1
    """Line of the file at which `text` begins: files of Liquibase hold several migrations."""
    one_way: bool = False
    """The file says that there is no way back."""
    why_one_way: str = ""
    notes: tuple[str, ...] = ()
    """What a person should know of how it will be run, in sentences."""
    description: str = ""
    author: str = ""
    date: str = ""

    @property
    def title(self) -> str:
        """How it is called in output: `20261121 add_total`."""
        return f"{self.version} {self.name}".strip()
