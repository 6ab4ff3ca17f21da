"""The words of a change: Operation (one change as data), Step (a statement, job or gate), Plan (the ordered whole). All are frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, Self

from pgcharter.catalog.effect import Effect
from pgcharter.names import ObjectId


class Phase(StrEnum):
    """When a step may run, seen from an application that is being released."""

    EXPAND = "expand"
    """Before the new release: the old one works on."""
    BACKFILL = "backfill"
    """Rows are filled while both run."""
    CONTRACT = "contract"
    """After no old release runs any more."""


class Grade(StrEnum):
    """What the reverse of a change brings back."""

    LOSSLESS = "lossless"
    LOSSY = "lossy"
    """The structure comes back, some data does not."""
    IMPOSSIBLE = "impossible"
    """There is no way back but a backup."""


Change = Literal["create", "drop", "alter", "rename"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one object as data; its reverse is the same with the sides exchanged."""

    change: Change
    object: ObjectId
    """Address on the side where it exists; for `rename` the old address. Parts (columns, constraints, triggers, policies, rules) are
    objects of their own, except where the whole relation is created or dropped with them."""
    old: Any = None
    """The object of the catalog model before; None for `create`."""
    new: Any = None
    """The object after; None for `drop`."""
    fields: tuple[str, ...] = ()
    """For `alter`: names of the model's fields that differ."""
    cause: str = ""
    """Why, when nobody asked for it: `view app.v reads column app.t.c`."""

    @property
    def reverse(self) -> Self:
        """The operation that takes this one back."""
        change: Change = {"create": "drop", "drop": "create"}.get(self.change, self.change)  # type: ignore[assignment]
        return replace(self, change=change, old=self.new, new=self.old)


@dataclass(frozen=True, slots=True)
class Backfill:
    """Resumable work on the rows of one table in batches along a unique key: an UPDATE that the runner cuts into pieces."""

    table: ObjectId
    key: tuple[str, ...]
    """Columns of a unique, not-null key, in the order of its index."""
    assignments: str
    """What stands after SET."""
    condition: str
    """What stands after WHERE: true for rows still to do, so that running it again does nothing."""

    def sql(self) -> str:
        """The work as one statement, as it would be for a small table."""
        return f"UPDATE {self.table.sql()} SET {self.assignments} WHERE {self.condition}"


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, job or gate of a Plan."""

    sql: str
    """One statement without its semicolon; for a job the statement that does the same in one go; empty for a gate."""
    title: str
    """What it does in a few words: `create index app.orders_customer_id_idx`."""
    object: ObjectId
    phase: Phase = Phase.EXPAND
    block: int = 0
    """Number of the transaction it runs in; 0: outside of any, by itself."""
    effect: Effect = field(default_factory=Effect)
    grade: Grade = Grade.LOSSLESS
    loses: str = ""
    """What is gone for good afterwards, in words; empty when nothing is."""
    backfill: Backfill | None = None
    gate: str = ""
    """What must be true of the application before anything after this runs; such a step has no SQL."""
    why: str = ""
    """Why it is there or has this form, when that is not plain."""


@dataclass(frozen=True)
class Plan:
    """The whole way from one catalog to another."""

    steps: tuple[Step, ...] = ()
    reverse: tuple[Step, ...] = ()
    """The way back."""
    operations: tuple[Operation, ...] = ()
    questions: tuple[str, ...] = ()
    """What only a person can answer; a plan with questions is not to be applied. Each is a sentence with its remedy."""
    notes: tuple[str, ...] = ()
    """Differences that no statement can take away (the order of columns), and what else a reader should know."""
    major: int = 0
    before: str = ""
    """Fingerprint of the catalog it starts from."""
    after: str = ""

    @cached_property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def blocks(self) -> Iterator[tuple[Step, ...]]:
        """Steps in order, those of one transaction together."""
        block: list[Step] = []
        for step in self.steps:
            if block and (not step.block or step.block != block[0].block):
                yield tuple(block)
                block = []
            block.append(step)
        if block:
            yield tuple(block)
