"""`[two_phase]` of the charter: the coordinator's log of transactions over several databases."""

from __future__ import annotations

from dataclasses import dataclass

from pgcharter.charter import Section

LONGEST = 40
"""Most characters of a name that is part of a prepared transaction's name, of which PostgreSQL keeps 199 bytes (GIDSIZE in twophase.h)."""
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def fits(name: str) -> bool:
    """Whether a name can be part of a prepared transaction's name."""
    return 0 < len(name) <= LONGEST and set(name) <= _LETTERS


@dataclass(frozen=True)
class Participant:
    """`[[two_phase.participant]]`: a database that takes part, beside the one that holds the log."""

    name: str
    """As the application calls it: 1 to 40 letters, digits, `_`, `.` or `-`."""
    dsn_env: str
    """Name of the environment variable that holds its connection string, for `pgcharter transactions`."""


@dataclass(frozen=True)
class TwoPhaseSection:
    """`[two_phase]`: `pgcharter.two_phase_log`, where it is decided that a transaction over several databases is committed."""

    system: str = "pgcharter"
    """Name of what the databases belong to, part of every prepared transaction's name: 1 to 40 letters, digits, `_`, `.` or `-`."""
    users: tuple[str, ...] = ()
    """Roles that coordinate and recover transactions; empty: the owner alone."""
    participant: tuple[Participant, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for names that a prepared transaction's name cannot hold, and for those said twice."""
        names = [p.name for p in self.participant]
        for name in (self.system, *names):
            if not fits(name):
                raise ValueError(f"{name!r} is no name for [two_phase]: 1 to 40 letters, digits, _, . or -")
        twice = next((n for n in names if names.count(n) > 1), "")
        if twice:
            raise ValueError(f"[[two_phase.participant]] names {twice} twice")


SECTION = Section("two_phase", TwoPhaseSection)
