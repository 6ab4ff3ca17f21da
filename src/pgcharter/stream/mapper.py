"""What the worker asks of a mapping, and how sinks and mappings come to it: the seam between stream, mapping and sinks.

For each sink the worker has one thread, one Sink and one Mapper, which are used by that thread alone:

    mapper.relation(r)                    for every mapped table that the source has, before anything else
    kept = sink.open(mapper.shapes)       the stamp goes on from there; rows up to it are not sent again
    for changes in stream:                changes of one table or of several, in order
        if mapper.relation(r): sink.open(mapper.shapes)        when a change's relation is another object than before
        sink.write(mapper.rows(changes), upto=changes[-1].stamp)

Rows of a snapshot are changes as well: inserts of stamp (position of the snapshot, 0). A seed that has ended is followed by a truncate of
the table with the stamp at which it began, so that rows go that were not there any more.
Errors: SinkDownError is tried again with back-off, SinkRefusedError stops this sink with its reason. Both may come from any call here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pgcharter.stream.model import Change, Relation, Row, Shape, Sink


class Mapper(Protocol):
    """The mappings of one sink."""

    tables: tuple[str, ...]
    """Tables that are copied, as `schema.table` of the charter."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of all relations seen so far, as they were last seen."""

    def relation(self, relation: Relation) -> bool:
        """Note what a table looks like from now on; give back whether shapes are others than before.

        Called with tables that are not mapped too. Raises SinkRefusedError where a mapped column is not there.
        """

    def whole(self, relation: Relation) -> bool:
        """Whether changes of it must come with all values, because of a filter, a tenant or a lookup.

        The worker then reads rows anew that have unchanged values out of line. It does so anyway where the sink is whole, the key has
        changed, or the table is being seeded.
        """

    def asks(self, relation: Relation) -> bool:
        """Whether the source is asked for rows when it changes: it looks up others, or others look it up."""

    def rows(self, changes: Sequence[Change]) -> list[Row]:
        """Rows of changes, in order. A row may have the stamp of its change only."""

    def close(self) -> None:
        """Let go of the source, where it was asked; the mapper can be used again. Calling it again changes nothing."""


@dataclass(frozen=True)
class Target:
    """A sink as the charter declares it, ready to be begun."""

    name: str
    sink: Sink
    mapper: Mapper
    spill: int = 10 << 30
    """Most bytes of its file."""


Make = Callable[[str], Target]
"""Gives the target of a sink's name. Called in the main thread; nothing is connected before `Sink.open`."""
