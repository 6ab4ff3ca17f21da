"""`[migrate.notify]` of the charter: who is told of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from pgcharter.errors import UsageError
from pgcharter.measures import seconds

Word = Literal["begun", "waiting", "paused", "resumed", "finished", "failed", "stopped", "interrupted"]
ENV = "env:"


def _variable(text: str) -> None:
    if text and not text.startswith(ENV):
        raise UsageError("it stands in a file that everyone reads", hint='put it into an environment variable and write "env:VARIABLE"')


@dataclass(frozen=True)
class NotifySection:
    """`[migrate.notify]`: who is told of runs."""

    command: tuple[str, ...] = ()
    """Program and arguments, run in the charter's folder; it reads the event as JSON from its standard input."""
    url: str = field(default="", metadata={"check": _variable})
    """Webhook, as env:VARIABLE: the address often is a secret itself. https, or http on this machine."""
    secret: str = field(default="", metadata={"check": _variable})
    """Secret by which the webhook knows the sender, as env:VARIABLE."""
    waiting: str = field(default="30s", metadata={"check": seconds})
    """How long a run waits for locks or another runner before that is told."""
    on: tuple[Word, ...] = get_args(Word)
    """What is told."""

    @property
    def any(self) -> bool:
        """Whether anybody is told at all."""
        return bool(self.command or self.url)
