"""Drift: what is declared, what was recorded and what is there, object by object, where they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pgcharter.catalog.compare import Difference
from pgcharter.catalog.model import Catalog
from pgcharter.errors import PgcharterError
from pgcharter.migrate import layouts, ledger, proving, units
from pgcharter.migrate.files import Folder
from pgcharter.migrate.ledger import Run
from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.state import Entry, standing
from pgcharter.names import ObjectId
from pgcharter.plan import diff
from pgcharter.plan.extent import extent
from pgcharter.plan.normal import normalised
from pgcharter.rules.library_tables import is_named

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import Scratch

Cause = Literal["by hand", "not recorded", "not yet", "overtaken"]
"""by hand: neither declared nor recorded, somebody changed the database. not recorded: the database is as declared, but no migration says
so. not yet: declared, and no migration has done it. overtaken: all three differ."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing in which declared, recorded and live do not agree."""

    cause: Cause
    difference: Difference
    """From what should be there to what is there."""
    policy: str = ""
    """The policy that made it; empty for what none did."""


def drift(
    live: Catalog, recorded: Catalog, declared: Catalog | None = None, policies: Mapping[ObjectId, str] | None = None
) -> tuple[Drift, ...]:
    """Compare the three; without `declared`, what was recorded is what should be there.

    All must be of one major version. What nobody mentions (other schemas, tables of libraries) is left alone as in a plan. `policies` are
    the addresses that policies answer for, with their names.
    """
    ours = policies or {}
    by_hand = _differing(recorded, live, ours)
    causes: dict[_Key, Cause] = dict.fromkeys(by_hand, "by hand")
    found = dict(by_hand)
    if declared is not None:
        open_ones, settled = _differing(declared, live, ours), _differing(recorded, declared, ours)
        causes = {k: "not recorded" if k not in open_ones else "overtaken" if k in settled else "by hand" for k in by_hand}
        found |= {k: d for k, d in open_ones.items() if k not in by_hand}
    made = [Drift(causes.get(k, "not yet"), d, ours.get(d.object) or ours.get(d.object.owner, "")) for k, d in found.items()]
    return tuple(sorted(made, key=lambda d: (d.difference.object, d.difference.field)))


_Key = tuple[ObjectId, str]


def _differing(expected: Catalog, live: Catalog, ours: Collection[ObjectId]) -> Mapping[_Key, Difference]:
    cut = extent(live, expected, library=is_named, ours=ours)
    there, should = normalised(cut.a, cut.b)
    return {(d.object, d.field): d for d in diff.differences(should, there) if d.object.kind != "database"}


def recorded(conn: Connection, folder: Folder, scratch: Scratch, placeholders: Mapping[str, str] | None = None) -> Catalog:
    """The schema that the applied migrations make, from the texts that the ledger kept, built on `scratch`; of a run that did not end,
    the units that are done.

    Raises PgcharterError when the text of one was not kept, or is refused there.
    """
    with scratch.database() as database:
        for title, file, made in _done(conn, folder, placeholders):
            try:
                proving.execute(database, (sql for unit in made for sql in unit.statements))
            except PgcharterError as error:
                raise PgcharterError(
                    f"{title}, as the ledger has it, cannot be built anew: {error.message}", hint=error.hint, place=file
                ) from None
        return proving.read(database)


def _done(conn: Connection, folder: Folder, placeholders: Mapping[str, str] | None) -> Iterable[tuple[str, str, Sequence[Unit]]]:
    """What ran, in that order: title, file and units of each."""
    found = standing(folder, ledger.read(conn))
    for entry in found.applied:
        assert entry.run is not None  # noqa: S101  (applied entries have one)
        migration = units.parsed(_as_run(conn, entry, entry.run), placeholders)
        yield migration.title, migration.file, migration.up
    for entry in found.entries:
        if entry.unfinished:
            migration = units.parsed(_as_run(conn, entry, entry.unfinished), placeholders)
            way = migration.up if entry.unfinished.direction == "up" else migration.down or ()
            finished = {number for number, one in ledger.progress(conn, entry.unfinished.id).items() if one.done}
            yield migration.title, migration.file, [unit for number, unit in enumerate(way) if number in finished]


def _as_run(conn: Connection, entry: Entry, run: Run) -> Migration:
    """The migration of an entry with the text that a run had; that of its file where the ledger did not keep it."""
    migration = entry.migration
    text = ledger.text(conn, run.id) if migration is None or migration.checksum != run.checksum else None
    if migration is not None:
        return replace(migration, text=text) if text is not None else migration
    if text is None:
        raise PgcharterError(
            f"the text of {entry.title} is neither in the folder nor in the ledger, so what was recorded cannot be built",
            hint="put its file back into the folder",
        )
    return Migration(entry.version, entry.name, layout=layouts.by_text(text), file=run.file, text=text)
