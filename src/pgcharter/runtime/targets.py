"""Where messages go: one protocol for all stores, services and functions.

    class Printer:
        ordered = False

        def deliver(self, messages):
            return [None if said(m) else Failed("no") for m in messages]

        def close(self): …

A relay gives a target batches and is told, for each message, whether it is done. A batch that was delivered may come again: after a crash
between delivery and the cursor's move. Targets for Redis, NATS and HTTP are in `targets_redis`, `targets_nats` and `targets_webhook`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.feeds_model import Failed, FailedError, Outcome, TargetDownError
from pgcharter.runtime.feeds_outcomes import ColourError, failed, plain
from pgcharter.runtime.outbox import Message

__all__ = ["AsyncCall", "Call", "Failed", "FailedError", "Message", "Outcome", "PartlyDownError", "Target", "TargetDownError", "waves"]


class Target(Protocol):
    """What a relay delivers to. With an `AsyncRelay` its methods may be coroutine functions. One batch at a time is given to it by each
    route; a target of several routes is called by several threads."""

    ordered: bool
    """It keeps the order of each key within a batch: after a message that failed, it leaves out later ones of its key, whose outcomes then
    mean nothing. Otherwise it never gets two messages of a key in one batch."""

    def deliver(self, messages: Sequence[Message]) -> Any:
        """Deliver, durably; gives an outcome for each message, None or Failed, or None where all are done.

        Raises TargetDownError where the target as a whole takes nothing: the batch waits, and comes again. What else it raises is a
        failure: the messages come again one by one, and the one that fails is parked.
        """

    def close(self) -> Any:
        """Let go of connections. Calling it again changes nothing."""


class PartlyDownError(TargetDownError):
    """The target as a whole takes nothing any more, after it has taken some of a batch: those do not come again, unless the relay dies."""

    def __init__(self, message: str, done: Iterable[Message] = ()) -> None:
        super().__init__(message)
        self.done = frozenset(m.position for m in done)


class Call:
    """A function as a target, called with one message at a time.

    What it raises is a failure of that message: FailedError says when it is tried again, TargetDownError that all have to wait. It is
    called again where the process died between its return and the cursor's move: `message.id` is the same then.
    """

    ordered = True

    def __init__(self, function: Callable[[Message], Any]) -> None:
        self.function = function

    def deliver(self, messages: Sequence[Message]) -> list[Outcome]:
        """Call the function with each. Raises ColourError for a coroutine function."""
        return driven(_each(self.function, messages))

    def close(self) -> None:
        """Nothing is held."""


class AsyncCall:
    """The async twin of `Call`: awaits what the function gives, where that is awaitable."""

    ordered = True

    def __init__(self, function: Callable[[Message], Any]) -> None:
        self.function = function

    async def deliver(self, messages: Sequence[Message]) -> list[Outcome]:
        """The async twin of `Call.deliver`."""
        return await awaited(_each(self.function, messages))

    async def close(self) -> None:
        """Nothing is held."""


def _each(function: Callable[[Message], Any], messages: Sequence[Message]) -> Steps[list[Outcome]]:
    outcomes: list[Outcome] = []
    stuck: set[str] = set()
    for at, message in enumerate(messages):
        outcome = None
        if message.key is None or message.key not in stuck:
            try:
                outcome = yield from _one(function, message)
            except TargetDownError as error:
                done = [m for m, o in zip(messages[:at], outcomes, strict=True) if o is None and m.key not in stuck]
                raise PartlyDownError(str(error), done) from error
            if outcome is not None and message.key is not None:
                stuck.add(message.key)
        outcomes.append(outcome)
    return outcomes


def _one(function: Callable[[Message], Any], message: Message) -> Steps[Outcome]:
    try:
        plain((yield partial(function, message)))
    except (TargetDownError, ColourError):
        raise
    except Exception as error:
        return failed(error)
    return None


def waves(messages: Iterable[Message]) -> list[list[int]]:
    """Indices of messages in as few waves as can be, none of which has two of a key: each may be delivered all at once."""
    made: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, message in enumerate(messages):
        wave = 0
        if message.key is not None:
            wave = seen.get(message.key, 0)
            seen[message.key] = wave + 1
        if wave == len(made):
            made.append([])
        made[wave].append(index)
    return made
