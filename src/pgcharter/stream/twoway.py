"""Copies both ways between two PostgreSQL databases whose applications write to the same tables.

One side decides, the other follows. What the follower's applications write comes to the deciding side, which takes it where its own row
is still the one that was written over, and has a rule decide where it is not. Everything the deciding side commits goes to the follower,
what came from there too, and is taken as it is; only a row that the follower has changed since waits for the word on that change. So the
follower ends with what the deciding side has, whatever the rule, the clocks and the order of arrival. Nothing goes round: the follower
applies under a replication origin, and what has one is not sent back.

Commit times are those of the clock of the server where a transaction was committed first. `newest` compares two clocks then, and only for
changes that neither side had seen of the other: a clock that is ahead wins more often than it should, no more. What is equal stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from pgcharter.stream.values import load

POINTS = ("twoway decided", "twoway followed", "twoway kept")
"""Fault points of copies both ways."""
Values = Mapping[str, str | None]
"""A row: columns as PostgreSQL writes them."""


class Version(NamedTuple):
    """A row as one side has it."""

    values: Values | None
    """None: it is deleted."""
    time: int = 0
    """When it was committed, microseconds since 1970. 0: not known, as of a row that the deciding side has deleted."""
    types: Mapping[str, str] = {}
    """Column → its type, as format_type writes it."""


Rule = Callable[[Version, Version], Values | None]
"""Given the row of the deciding side and the one that comes, neither made of the other, gives the row that shall be."""


def source(side: Literal["here", "there"]) -> Rule:
    """The named side always wins: `here` decides, `there` follows."""
    return lambda here, comes: (here if side == "here" else comes).values


def latest(here: Version, comes: Version) -> Values | None:
    """What was committed later wins; of the same time what is here."""
    return comes.values if comes.time > here.time else here.values


def newest(column: str) -> Rule:
    """The row with the larger value of a column, such as updated_at, which must grow with every change; of equal ones what is here.

    NULL is the smallest, and a change wins against a delete.
    """

    def rule(here: Version, comes: Version) -> Values | None:
        if here.values is None or comes.values is None:
            return comes.values if here.values is None else here.values
        one, other, made = here.values[column], comes.values[column], load(here.types[column]) or str
        return comes.values if other is not None and (one is None or made(other) > made(one)) else here.values

    return rule
