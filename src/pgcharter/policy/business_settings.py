"""`[business]` of the charter: what the business promises, as SQL with a threshold."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.measures import seconds

Direction = Literal["below", "at most", "at least", "above"]
LONGEST = 600
"""Seconds a rule may take at most."""


def _id(value: Any) -> None:
    if re.fullmatch(r"[a-z][a-z0-9_]{0,62}", value) is None:
        raise UsageError(f"{value!r} is no id of a rule", hint="small letters, digits and _: order_processing")


def _sql(value: Any) -> None:
    from pgcharter.sqltext.asking import not_a_query

    if why := not_a_query(value):
        raise UsageError(f"it must be one query that only reads: {why}", hint='sql = "SELECT avg(…) FROM … WHERE …"')


@dataclass(frozen=True)
class RuleTable:
    """`[[business.rule]]`: one promise."""

    id: str = field(metadata={"check": _id})
    """Its name: order_processing. Its evidence is called business.order_processing."""
    title: str
    """What is promised, in words: orders are processed within an hour."""
    sql: str = field(metadata={"check": _sql})
    """One query that gives one number, or one row with a column `value`; its other columns are kept beside it. NULL or no row: no data."""
    threshold: float
    """The number that the value is held against."""
    direction: Direction = "below"
    """Where the value must be: below, at most, at least or above the threshold."""
    unit: str = ""
    """Unit of both, for whoever reads it: s, %, EUR."""
    window: str = ""
    """The time that the query looks at, in words: 24 hours."""
    owner: str = ""
    """Who sees to it when it is broken."""
    timeout: int = 10
    """Seconds after which asking is given up, 600 at most."""
    filtered: bool = False
    """The query may leave out rows that row policies hide from who asks. Else such a rule fails, because it would be about a part."""

    def __post_init__(self) -> None:
        """Raise ValueError for values that mean nothing."""
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold of business rule {self.id} must be a number")
        if not self.title.strip():
            raise ValueError(f"business rule {self.id} has no title")
        if any("\0" in text for text in (self.title, self.unit, self.window, self.owner)):
            raise ValueError(f"a text of business rule {self.id} holds a NUL character, which no database can keep")
        if not 1 <= self.timeout <= LONGEST:
            raise ValueError(f"timeout of business rule {self.id} must be between 1 and {LONGEST} seconds, not {self.timeout}")


def _keep(value: Any) -> None:
    if seconds(value) < 86400:
        raise UsageError(f"{value!r} is less than a day", hint='write keep = "730d"')


@dataclass(frozen=True)
class BusinessSection:
    """`[business]`: what the business promises; what was measured is kept in `pgcharter.business_results`."""

    keep: str = field(default="730d", metadata={"check": _keep})
    """Time for which results are kept."""
    writers: tuple[str, ...] = ()
    """Roles that may add results; the owner may always, and is the only one who removes old ones."""
    readers: tuple[str, ...] = ()
    """Roles that may read them."""
    rule: tuple[RuleTable, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for two rules of one id."""
        ids = [r.id for r in self.rule]
        twice = next((i for i in ids if ids.count(i) > 1), "")
        if twice:
            raise ValueError(f"two business rules are called {twice}")


SECTION = Section("business", BusinessSection)
