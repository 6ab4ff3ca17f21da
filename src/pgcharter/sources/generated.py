"""SQL that a program generates: built statement by statement like a file, with places in the program's source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Gap, Place
from pgcharter.names import ObjectId
from pgcharter.sources.script import broken_finding
from pgcharter.sqltext import Statement, parse

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase
    from pgcharter.sources.build import Builder


_UNKNOWN = Place("<generated>", 1)


@dataclass(frozen=True, slots=True)
class Emitted:
    """One generated text and the place in the program that asked for it."""

    sql: str
    place: Place
    direction: str = "up"


def statements(emitted: Iterable[Emitted]) -> tuple[list[Statement], list[Finding]]:
    """The emitted texts as statements at their program's places, and a finding for each that is no SQL."""
    found: list[Statement] = []
    findings: list[Finding] = []
    for item in emitted:
        parsed = parse(item.sql, item.place.file)
        found += [replace(s, place=item.place, offset=0, source=None, direction=item.direction) for s in parsed.statements]
        findings += [broken_finding(replace(e, place=item.place, start=item.place)) for e in parsed.errors]
    return found, findings


def build(database: ScratchDatabase, builder: Builder, wanted: Iterable[Statement], progress: Callable[[int], None] | None = None) -> None:
    """Run `wanted` in order; extensions that types or functions need are created on the way."""
    from pgcharter.sources.stand_ins import StandIns

    helper = StandIns(database, {}, {})
    for number, statement in enumerate(wanted):
        if progress and number % 50 == 0:
            progress(number)
        if statement.direction == "up":
            refusal = builder.run(statement)
            while refusal is not None and helper.extension_for(refusal):
                builder.forget(refusal)
                refusal = builder.run(statement)
    builder.gaps += [Gap(what, "needed but created by none of the statements: taken as given") for what in helper.made]


def state(
    target: str,
    source: str,
    database: ScratchDatabase,
    builder: Builder,
    *,
    wanted: Iterable[Statement],
    own: Mapping[ObjectId, Place] | None = None,
    given: Iterable[ObjectId] = (),
    findings: Iterable[Finding] = (),
    gaps: Iterable[Gap] = (),
    texts: Mapping[str, str] | None = None,
) -> Reading:
    """Read back what was built. `own` places win over the recorder's; nothing is said about `given` objects."""
    from pgcharter.sources import live, recorder
    from pgcharter.sources.build import unresolved_roles
    from pgcharter.sources.files import anonymous
    from pgcharter.sources.places import locate

    made = recorder.read(database.admin)
    recorder.remove(database.admin)
    catalog = anonymous(live.read_catalog(database.admin))
    places = {**locate(made, builder.numbered, catalog), **(own or {})}
    for table in catalog.tables:
        for constraint in table.constraints if own else ():
            address = table.part("constraint", constraint.name)
            if len(constraint.columns) == 1 and address not in (own or {}):
                places[address] = places.get(table.part("column", constraint.columns[0]), places.get(address, _UNKNOWN))
    return Reading(
        target,
        source,
        catalog=catalog,
        statements=tuple(wanted),
        unbuilt=tuple(builder.unbuilt),
        places=places,
        effects=builder.trace.effects if builder.trace else {},
        stand_ins=frozenset(given),
        findings=(*findings, *builder.findings()),
        gaps=(*gaps, *builder.gaps, *unresolved_roles(builder)),
        texts=texts or {},
    )
