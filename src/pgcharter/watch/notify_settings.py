"""`[[watch.notify]]` and `[[watch.silence]]`: who is told what is wrong, and what nobody is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pgcharter.measures import seconds
from pgcharter.watch.model import Word

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


def _variable(value: Any) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("an address or key stands in an environment variable, whose name is written here: ONCALL_URL")


def _time(value: Any) -> None:
    seconds(value)


def _words(value: Any) -> None:
    from pgcharter.watch import registry

    for word in value:
        registry.known(word)


@dataclass(frozen=True)
class NotifyTable:
    """`[[watch.notify]]`: somebody who is told."""

    name: str
    """What he is called in messages of ours; his state is kept by it."""
    kind: Literal["webhook", "slack", "pagerduty", "email"]
    """What is sent: our own JSON, signed; a text as Slack and its like take it; an event of PagerDuty; a mail."""
    to_env: str = field(metadata={"check": _variable})
    """Environment variable with the address (webhook, slack), the routing key (pagerduty), or the mail server: `smtp://user:password@host:587`."""
    secret_env: str = field(default="", metadata={"check": lambda v: _variable(v) if v else None})
    """Environment variable with the secret that a webhook is signed with."""
    level: Word = "warning"
    """From this level on."""
    only: tuple[str, ...] = field(default=(), metadata={"check": _words})
    """Families and checks; empty: all."""
    after: str = field(default="0s", metadata={"check": _time})
    """When it has lasted so long: so that somebody else is told of what nobody has mended."""
    repeat: str = field(default="4h", metadata={"check": _time})
    """What lasts is told again after this; 0s: once."""
    url: str = PAGERDUTY
    """Where events of PagerDuty go."""
    sender: str = ""
    """Address that a mail is from."""
    to: tuple[str, ...] = ()
    """Addresses that a mail goes to."""

    def __post_init__(self) -> None:
        """Raise ValueError for what does not fit together."""
        if self.kind == "email" and not (self.sender and self.to):
            raise ValueError(f"{self.name} is told by mail: write sender and to")
        for address in (self.sender, *self.to):
            if self.kind == "email" and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", address):
                raise ValueError(f"{self.name}: {address!r} is no address of a mail")
        if self.secret_env and self.kind != "webhook":
            raise ValueError(f"{self.name}: only a webhook is signed")


@dataclass(frozen=True)
class SilenceTable:
    """`[[watch.silence]]`: what nobody is told for a while."""

    only: tuple[str, ...] = field(metadata={"check": _words})
    """Families and checks."""
    until: datetime
    """With its zone: `2026-12-01T06:00:00Z`."""
    reason: str

    def __post_init__(self) -> None:
        """Raise ValueError for a time without its zone, or no reason."""
        if self.until.tzinfo is None:
            raise ValueError(f"until = {self.until} has no zone: write {self.until.isoformat()}Z")
        if not self.reason.strip():
            raise ValueError("a silence without a reason is forgotten: write reason")
