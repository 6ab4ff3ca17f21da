"""What a saga is made of: steps with what takes them back, branches side by side, waits, sagas inside. Declared once, kept by version."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pgcharter.errors import PgcharterError, UsageError

D = TypeVar("D")
_LONGEST_NAME = 200


class AbortError(PgcharterError):
    """Raised by an action that knows it would fail again: the saga turns round at once."""


class UncertainError(PgcharterError):
    """Raised by an action that has asked and got no answer: it may have had its effect, so it is compensated too when the saga turns."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """How a step is tried again. Times are seconds. Raises UsageError for what makes no sense."""

    attempts: int = 5
    """After so many the saga turns round; past the pivot, and when compensating, it goes on and raises an alarm."""
    base: float = 0.2
    """Pause before the second attempt; it doubles up to `longest`. Half of it is left to chance."""
    longest: float = 300.0
    never: tuple[type[BaseException], ...] = ()
    """Errors after which trying again is of no use."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        if self.attempts < 1 or not 0 <= self.base <= self.longest:
            raise UsageError(f"{self} makes no sense: at least one attempt, and pauses from 0 on")

    def pause(self, failed: int) -> float:
        """Seconds to wait after so many failures."""
        most = min(self.longest, self.base * 2.0 ** min(failed - 1, 40))
        return random.uniform(most / 2, most)  # noqa: S311


@dataclass(slots=True)
class Context(Generic[D]):
    """What an action gets."""

    saga_id: UUID
    type: str
    key: str | None
    """Business key."""
    step: str
    attempt: int
    """1 on the first; an attempt whose worker died counts."""
    idempotency: str
    """The same in every attempt of this step, and of no other: give it to whoever is asked to do something outside of this database."""
    data: D
    """The saga's data, this step's own copy. What is changed in it is kept when the step is done."""
    results: Mapping[str, Any]
    """What the steps before have returned, by name; of waits what came with the signal."""
    work: Any = None
    """Unit of work, where the step is `inside`: what is written in it is there with the step, or not at all."""
    tenant: str = ""
    correlation: str | None = None
    certain: bool = True
    """When compensating: whether the step is known to be done. False: it was asked for, and nobody knows."""


@dataclass(frozen=True)
class Step:
    """A step. Without `inside` it has its effect at least once, told apart by `idempotency`; with it, once."""

    name: str
    action: Callable[[Context[Any]], Any]
    undo: Callable[[Context[Any]], Any] | None = None
    """Takes it back; tried for ever. It may be asked to take back what was never done: `certain` says so."""
    inside: bool = False
    """Action and undo each get a unit of work, in whose transaction the saga moves on."""
    timeout: float | None = None
    """Seconds for an attempt; of a step inside also for each of its statements."""
    retry: Retrying = field(default_factory=Retrying)
    pivot: bool = False
    """When it is done there is no way back: what comes after is tried for ever."""
    when: Callable[[Any], bool] | None = None
    """Called with the data: whether it is done at all."""

    kind = "step"


@dataclass(frozen=True)
class Wait:
    """Wait for a signal; one that came earlier counts. Its payload is the step's result."""

    name: str
    signal: str = ""
    """Its name, where that is not the step's."""
    timeout: float | None = None
    """Seconds; None: for ever."""
    otherwise: Literal["compensate", "go on"] = "compensate"
    """What happens when nothing came in time; past the pivot it goes on."""
    when: Callable[[Any], bool] | None = None

    kind, undo, pivot = "wait", None, False


@dataclass(frozen=True)
class Sleep:
    """Wait for time to pass; it passes on the server's clock, whoever is restarted meanwhile."""

    name: str
    seconds: float | Callable[[Any], float]
    """Or a function that says so, given the data."""
    when: Callable[[Any], bool] | None = None

    kind, undo, pivot = "sleep", None, False


@dataclass(frozen=True)
class Child:
    """Another saga, awaited. When this one turns round, that one is taken back; its result is the step's."""

    name: str
    saga: Saga[Any]
    data: Callable[[Any], Any]
    """Gives its data, from this one's."""
    pivot: bool = False
    when: Callable[[Any], bool] | None = None

    kind = "saga"

    @property
    def undo(self) -> bool:
        """It can be taken back."""
        return True


@dataclass(frozen=True)
class Parallel:
    """Branches side by side: each a step or several in order. It is done when all are.

    Each works on a copy of the data; what several change in the same field, the last one wins.
    """

    branches: Sequence[Leafy | Sequence[Leafy]]


Leafy = Step | Wait | Sleep | Child
Node = Leafy | Parallel


@dataclass(frozen=True)
class Leaf:
    """A step in its place."""

    number: int
    node: Leafy
    after: tuple[int, ...]
    """Those that come before."""

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.node.name


@dataclass(frozen=True)
class Saga(Generic[D]):
    """A definition. Change its steps, and it is another version: sagas that are under way go on with theirs. Raises UsageError."""

    name: str
    steps: Sequence[Node]
    data: type[D] = dict  # type: ignore[assignment]
    """Class of its data: a dataclass, a model of pydantic, or dict with keys of text."""
    version: int = 1
    deadline: float | None = None
    """Seconds from its start by which it must have passed its pivot, or be done: then it turns round."""
    alarm: int = 3
    """A compensation, and a step past the pivot that is out of attempts, raise an alarm after so many failures."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot work."""
        names = [self.name, *(leaf.name for leaf in self.leaves)]
        for name in names:
            if not isinstance(name, str) or not name or len(name.encode()) > _LONGEST_NAME or "\0" in name:
                raise UsageError(f"{name!r} is no name of a saga or a step: it is a text of at most {_LONGEST_NAME} bytes")
        twice = sorted({n for n in names[1:] if names[1:].count(n) > 1})
        if twice or not self.leaves:
            raise UsageError(f"saga {self.name} has {'two steps ' + twice[0] if twice else 'no steps'}")
        if self.version < 1 or self.alarm < 1:
            raise UsageError(f"saga {self.name}: version and alarm are 1 or more")
        if not (self.data is dict or dataclasses.is_dataclass(self.data) or hasattr(self.data, "model_validate")):
            raise UsageError(f"data of saga {self.name} is a dataclass, a model of pydantic or dict, and {self.data!r} is none")
        self._pivots()

    def _pivots(self) -> None:
        pivots = [leaf for leaf in self.leaves if leaf.node.pivot]
        inner = {leaf.number for n in self.steps if isinstance(n, Parallel) for leaf in self.leaves if leaf.node in _members(n)}
        if len(pivots) > 1 or any(p.number in inner for p in pivots):
            raise UsageError(f"saga {self.name} has one pivot at most, and not among branches that run side by side")
        first = pivots[0].number if pivots else len(self.leaves) + 1
        for leaf in self.leaves:
            if isinstance(leaf.node, Child) and leaf.node.saga.pivot and leaf.number < first:
                raise UsageError(
                    f"step {leaf.name} of saga {self.name} is a saga with a pivot, so nothing could take it back",
                    hint="make it the pivot, Child(…, pivot=True), or put it after the pivot",
                )

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its steps, numbered from 1."""
        made: list[Leaf] = []
        last: tuple[int, ...] = ()
        for node in self.steps:
            if isinstance(node, Parallel):
                ends: list[int] = []
                for branch in node.branches:
                    before = last
                    for each in branch if isinstance(branch, Sequence) else (branch,):
                        made.append(Leaf(len(made) + 1, each, before))
                        before = (len(made),)
                    ends += before
                last = tuple(dict.fromkeys(ends)) or last
            else:
                made.append(Leaf(len(made) + 1, node, last))
                last = (len(made),)
        return tuple(made)

    @cached_property
    def following(self) -> Mapping[int, tuple[int, ...]]:
        """By number, the steps that come right after."""
        return {leaf.number: tuple(o.number for o in self.leaves if leaf.number in o.after) for leaf in self.leaves}

    @cached_property
    def pivot(self) -> Leaf | None:
        """The step after which there is no way back."""
        return next((leaf for leaf in self.leaves if leaf.node.pivot), None)

    def leaf(self, name: str) -> Leaf | None:
        """The step of that name."""
        return next((leaf for leaf in self.leaves if leaf.name == name), None)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


def _members(node: Parallel) -> Iterator[Leafy]:
    for branch in node.branches:
        yield from branch if isinstance(branch, Sequence) else (branch,)
