"""What becomes of messages: calling handlers, finding out which message is at fault, and what is parked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any

import psycopg

from pgcharter.errors import ConnectError, UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.feeds_model import (
    EndingError,
    Failed,
    FailedError,
    FeedSettings,
    FencedError,
    Message,
    Outcome,
    Outside,
    Park,
    TargetDownError,
)
from pgcharter.runtime.outcomes import ONCE, UnknownOutcomeError, causes, judge
from pgcharter.runtime.pools import ClosedError, PoolExhaustedError

_PASSING = frozenset(("40001", "40P01", "55P03", "57014"))
_ELSEWHERE = (TargetDownError, FencedError, ConnectError, UnknownOutcomeError, ClosedError, PoolExhaustedError)


class ColourError(EndingError):
    """A handler is a coroutine function, and nothing awaits it."""


class AnswerError(UsageError):
    """What `deliver` gave back says nothing about its messages."""


def is_elsewhere(error: Exception) -> bool:
    """Whether something failed for a reason that is not its message's: the database is away or full, the lease is lost."""
    if isinstance(error, _ELSEWHERE) or judge(error, ONCE, broken=False) == "lost":
        return True
    of_server = [e for e in causes(error) if isinstance(e, psycopg.OperationalError)]
    return any(e.sqlstate is None or e.sqlstate.startswith("53") for e in of_server) or any(
        isinstance(e, psycopg.errors.ReadOnlySqlTransaction) for e in causes(error)
    )


def is_passing(error: Exception) -> bool:
    """Whether a feed's own statements may go on later: as `is_elsewhere`, or waited too long for a lock, deadlocked, were cancelled."""
    return is_elsewhere(error) or any(isinstance(e, psycopg.Error) and e.sqlstate in _PASSING for e in causes(error))


def plain(value: Any) -> Any:
    """What a handler gave. Raises ColourError for what nobody would await."""
    if type(value) is CoroutineType:
        value.close()
        raise ColourError(f"{value.__qualname__} is a coroutine function, and nothing awaits it in a Feed", hint="AsyncFeed is for those")
    return value


def failed(error: Exception) -> Failed:
    """A failure from what a handler has raised."""
    if isinstance(error, FailedError):
        return error.failed
    return Failed(said(error))


def said(error: Exception) -> str:
    """What an error says, as a text that PostgreSQL can hold; also of one that raises when it is asked."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception as unsaid:
        text = f"{type(error).__name__}, and saying what it is raises {type(unsaid).__name__}"
    return storable(text)


def delivered(way: Outside[Any], messages: Sequence[Message[Any]], tolerated: int) -> Steps[list[Outcome]]:
    """Deliver messages whose keys are not parked. Less are given back than were to be delivered where too many in a row have failed.

    A later message of a key that failed has an outcome that means nothing. Raises TargetDownError.
    """
    found: dict[int, Outcome] = {m.position: m.unread for m in messages if m.unread is not None}
    stuck = {m.key for m in messages if m.unread is not None}
    fresh = [m for m in messages if m.key not in stuck] if stuck else messages
    if way.single:
        yield from _one_by_one(way, [m for m in messages if m.unread is None], found, stuck, tolerated)
    elif way.ordered:
        yield from _call(way, fresh, found, stuck, tolerated)
    else:
        for turn in _turns([m for m in messages if m.unread is None]):
            yield from _call(way, [m for m in turn if m.key not in stuck] if stuck else turn, found, stuck, tolerated)
    if not stuck and len(found) == len(messages):
        return [None] * len(messages)
    return _known(messages, found, stuck)


def _known(messages: Sequence[Message[Any]], found: dict[int, Outcome], stuck: set[str]) -> list[Outcome]:
    """Outcomes up to the first message that was not reached."""
    known: list[Outcome] = []
    for message in messages:
        if message.position not in found and message.key not in stuck:
            break
        known.append(found.get(message.position))
    return known


def _turns(messages: Sequence[Message[Any]]) -> Iterable[list[Message[Any]]]:
    """Messages in as few parts as can be, none of which has two of a key."""
    turns: list[list[Message[Any]]] = []
    seen: dict[str, int] = {}
    for message in messages:
        turn = seen.get(message.key, 0)
        seen[message.key] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(message)
    return turns


def _call(way: Outside[Any], batch: Sequence[Message[Any]], found: dict[int, Outcome], stuck: set[str], tolerated: int) -> Steps[None]:
    """Deliver messages in one call; one by one where that raises."""
    if not batch:
        return
    try:
        value = yield partial(way.deliver, batch[0].body if way.single else [m.body for m in batch])
        said = _said(way, plain(value), len(batch))
    except (TargetDownError, EndingError, AnswerError):
        raise
    except Exception as error:
        if len(batch) > 1:
            yield from _one_by_one(way, batch, found, stuck, tolerated)
            return
        said = [failed(error)]
    found.update(zip((m.position for m in batch), said, strict=True))
    stuck.update(m.key for m, outcome in zip(batch, said, strict=True) if outcome is not None)


def _said(way: Outside[Any], value: Any, count: int) -> Sequence[Outcome]:
    if way.single or isinstance(value, Failed):
        value = [value if isinstance(value, Failed) else None]
    return outcomes(value, count)


def outcomes(value: Any, count: int) -> Sequence[Outcome]:
    """What `deliver` gave back, for so many messages. Raises AnswerError for what says nothing about them."""
    if value is None:
        return [None] * count
    if not isinstance(value, Sequence) or len(value) != count or not all(v is None or isinstance(v, Failed) for v in value):
        raise AnswerError(
            f"deliver was given {count} messages and gave back {value!r:.100}", hint="None, or for each of them None or Failed(…)"
        )
    return value


def _one_by_one(
    way: Outside[Any], batch: Sequence[Message[Any]], found: dict[int, Outcome], stuck: set[str], tolerated: int
) -> Steps[None]:
    row = 0
    for message in batch:
        if message.key in stuck:
            continue
        yield from _call(way, [message], found, stuck, tolerated)
        row = row + 1 if found[message.position] is not None else 0
        if row >= tolerated:
            return


def parks(messages: Sequence[Message[Any]], said: Sequence[Outcome], settings: FeedSettings) -> list[Park]:
    """Which messages are to wait: those that failed, and all of a key after the one that did."""
    stuck: set[str] = set()
    made = []
    for message, outcome in zip(messages, said, strict=True):
        if message.held or message.key in stuck:
            made.append(Park(message, "behind"))
        elif outcome is not None:
            stuck.add(message.key)
            made.append(park(message, outcome, settings))
    return made


def park(message: Message[Any], outcome: Failed, settings: FeedSettings) -> Park:
    """A message that failed: tried again later, or dead."""
    attempts = message.attempts + 1
    dead = outcome.final or attempts >= settings.attempts or message.age >= settings.deadline
    pause = settings.pause(attempts) if outcome.after is None else outcome.after
    return Park(message, "dead" if dead else "waiting", attempts, pause, storable(outcome.error))


def storable(text: str) -> str:
    """A text that PostgreSQL can hold: without NUL, halves of surrogate pairs as escapes, at most 2000 characters."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()[:2000]
