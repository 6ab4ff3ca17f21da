"""Everything pgcharter raises, and the exit code each ends in.

    PgcharterError                3  work could not be done
    ├── UsageError                2  wrong words on the command line
    │   └── CharterError          2  something is wrong in pgcharter.toml or in a guide
    ├── UnavailableError          3  this machine or server lacks something that the work needs
    ├── ConnectError              3  a server could not be reached or did not let us in
    └── RefusedError              4  could be done, but it would not be safe

A Finding is not an error: it is a value (see `findings`). Errors become output in one place, `cli`.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command (`health --nagios` excepted)."""

    FINE = 0
    FINDINGS = 1
    USAGE = 2
    FAILED = 3
    REFUSED = 4


class PgcharterError(Exception):
    """Work could not be done.

    `message` is one lower-case sentence that names the object and says what is wrong and what follows from it; `hint` is the exact
    command or SQL that mends it; `place` is where the cause stands (`file:line:column`, an option, an object). No part ever holds a secret.
    """

    exit_code = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "", place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class UsageError(PgcharterError):
    """The command line asks for something that does not exist or makes no sense."""

    exit_code = Exit.USAGE


class CharterError(UsageError):
    """`pgcharter.toml` or a guide says something that cannot be understood."""


class UnavailableError(PgcharterError):
    """This machine or server lacks what the work needs: an extra, a program, a PostgreSQL version, an extension."""


class ConnectError(PgcharterError):
    """A PostgreSQL server could not be reached or refused the login."""


class RefusedError(PgcharterError):
    """The work is possible but unsafe, and no flag allowed it."""

    exit_code = Exit.REFUSED
