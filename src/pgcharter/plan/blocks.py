"""Which steps share a transaction: few locks at a time, none of them held while something long runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pgcharter.plan.model import Step
from pgcharter.plan.safe_ground import Piece, touched

BARRIER: Piece = ()
"""Between pieces that must not share a transaction."""
LONGEST = 100
"""Steps in one transaction, so that a long plan does not fill the server's table of locks."""


def numbered(pieces: Iterable[Piece]) -> tuple[Step, ...]:
    """The steps of all pieces in order, with the numbers of their transactions.

    A piece is never divided. Pieces share a transaction when each of them is quick and they lock the same tables in use against writers,
    or none, and no barrier stands between them.
    """
    found: list[Step] = []
    number, shared = 0, None
    count = 0
    for piece in pieces:
        if not piece:
            shared = None
            continue
        mark = None if any(map(_alone, piece)) else (piece[0].phase, touched(piece))
        if mark is None or mark != shared or count + len(piece) > LONGEST:
            number, count = number + 1, 0
        shared, count = mark, count + len(piece)
        found += [replace(step, block=0 if _outside(step) else number) for step in piece]
    return _gapless(found)


def renumbered(parts: Iterable[Sequence[Step]]) -> tuple[Step, ...]:
    """The steps of several parts one after the other; transactions never reach from one part into the next.

    A step without a transaction keeps to itself unless its whole part is without: such a part is one transaction.
    """
    found: list[Step] = []
    for number, part in enumerate(parts):
        together = all(not s.block and not _outside(s) for s in part)
        found += [replace(s, block=-number - 1) if together else s for s in part]
    return _gapless(found)


def _alone(step: Step) -> bool:
    """Long work, what allows no transaction, and labels of enums, which only a finished transaction lets use."""
    return bool(_outside(step) or step.effect.scans or step.effect.rewrites or " ADD VALUE " in step.sql)


def patient(step: Step) -> bool:
    """Whether a step may take long and stops nobody: it must not wait in a transaction with others that do."""
    mode = step.effect.strongest
    return _outside(step) or bool((step.effect.scans or step.effect.rewrites) and not (mode and mode.stops_writes))


def _outside(step: Step) -> bool:
    return bool(step.gate or step.backfill or not step.effect.transactional)


def _gapless(steps: list[Step]) -> tuple[Step, ...]:
    numbers = {0: 0}
    for step in steps:
        numbers.setdefault(step.block, len(numbers))
    return tuple(replace(step, block=numbers[step.block]) for step in steps)
