"""Statements run on a scratch database that holds what is there already: what they would do to that, and what PostgreSQL refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgcharter.catalog.effect import Effect
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Place
from pgcharter.sources import Progress
from pgcharter.sqltext import Statement

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase


@dataclass(frozen=True)
class Seen:
    """What became of statements."""

    effects: Mapping[Place, Effect]
    refusals: tuple[Finding, ...]
    """SRC01 for what PostgreSQL refuses on what is there."""

    def onto(self, reading: Reading, files: frozenset[str]) -> Reading:
        """The reading with what was seen here of `files`, in the place of what was seen of them in an empty database."""
        kept = tuple(f for f in reading.findings if f.code != "SRC01" or f.place is None or f.place.file not in files)
        return replace(reading, effects={**reading.effects, **self.effects}, findings=(*kept, *self.refusals))


def see(database: ScratchDatabase, statements: Sequence[Statement], progress: Progress | None = None) -> Seen:
    """Run `statements` on `database`, which holds a schema already, each as `sources.files` would."""
    from pgcharter.sources.build import Builder
    from pgcharter.sources.trace import Trace

    trace = Trace(database.scratch.major)
    trace.start(database.conn)
    builder = Builder(database, trace=trace)
    file = ""
    for number, statement in enumerate(statements):
        if progress and number % 50 == 0:
            progress("trying what is pending", number, len(statements))
        if file and statement.place.file != file:
            builder.end_file()
        file = statement.place.file
        builder.run(statement)
    return Seen(trace.effects, tuple(builder.findings()))
