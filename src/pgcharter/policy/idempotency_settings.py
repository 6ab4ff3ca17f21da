"""`[idempotency]` of the charter: how long the answer to a request is kept, so that the same request again gets the same answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pgcharter.charter import Section
from pgcharter.errors import UsageError

LONGEST_ANSWER = 64 << 20
"""Most bytes that `answer_bytes` may allow."""


def _duration(value: Any) -> None:
    if re.fullmatch(r"[1-9][0-9]{0,3}[hd]", value) is None:
        raise UsageError(f"{value!r} is no time that keys are kept", hint="write 24h or 7d")


@dataclass(frozen=True)
class IdempotencySection:
    """`[idempotency]`: keys of requests and their answers, `pgcharter.idempotency_keys`, written in the transaction that does the work."""

    keep: str = field(default="24h", metadata={"check": _duration})
    """Time for which the same key gets the first answer: 24h, 7d. After that it is a new request."""
    answer_bytes: int = 65536
    """Most bytes that an answer may have, as JSON."""
    users: tuple[str, ...] = ()
    """Roles that may claim keys and read answers; empty: the owner alone. Where tenants are kept apart, so are their keys."""

    def __post_init__(self) -> None:
        """Raise ValueError for a number of bytes that means nothing."""
        if not 2 <= self.answer_bytes <= LONGEST_ANSWER:
            raise ValueError(f"answer_bytes is between 2 and {LONGEST_ANSWER}")

    @property
    def interval(self) -> str:
        """The time that keys are kept, as PostgreSQL writes an interval."""
        number = int(self.keep[:-1])
        return f"{number:02}:00:00" if self.keep.endswith("h") else f"{number} day{'s' * (number > 1)}"


SECTION = Section("idempotency", IdempotencySection)
