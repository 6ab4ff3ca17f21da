"""SQL files and folders: parsed as text, built on a scratch server, read back by the one live reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Catalog
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Gap
from pgcharter.rules.migration_files import companions
from pgcharter.sources import Look, Progress, taken_on
from pgcharter.sources.script import Script, load
from pgcharter.sources.text import read_text

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase

_UNPLACED = Gap("where DO blocks and renames made things", "the scratch server's role is no superuser, so only plain statements are placed")


def read(
    target: str,
    *,
    major: int | None = None,
    scratch_url: str | None = None,
    server: bool = True,
    progress: Progress | None = None,
    looks: Sequence[Look] = (),
) -> Reading:
    """Read a SQL file, a folder of them, or standard input (`-`).

    Raises UsageError when there is no SQL in it, UnavailableError when no PostgreSQL is at hand to build on.
    """
    script = load(target, progress)
    if not server:
        return _accompanied(text_only(target, script))
    return _accompanied(build(target, script, major=major, scratch_url=scratch_url, progress=progress, looks=looks))


def _accompanied(reading: Reading) -> Reading:
    """The reading with the texts of files that stand beside migrations and say how their tool runs them."""
    named = {other for name in reading.texts for other in companions(name)}
    found = {name: read_text(Path(name), name) for name in sorted(named) if Path(name).is_file()}
    return replace(reading, texts={**reading.texts, **found}) if found else reading


def anonymous(catalog: Catalog) -> Catalog:
    """The catalog without what belongs to the scratch database itself: its name and its privileges."""
    return replace(catalog, database=replace(catalog.database, name="", acl=None, comment=""))


def text_only(target: str, script: Script) -> Reading:
    """The reading of a script that no server saw."""
    return Reading(
        target, "sql", statements=script.statements, findings=tuple(script.findings), gaps=tuple(script.gaps), texts=script.texts
    )


def build(
    target: str,
    script: Script,
    *,
    major: int | None,
    scratch_url: str | None,
    progress: Progress | None,
    source: str = "sql",
    looks: Sequence[Look] = (),
) -> Reading:
    """Build `script` on a scratch server and read the catalog it leads to."""
    from pgcharter.servers.scratch import open_scratch

    with open_scratch(major, url=scratch_url) as scratch, scratch.database() as database:
        return build_on(database, target, script, progress=progress, source=source, looks=looks)


def build_on(
    database: ScratchDatabase,
    target: str,
    script: Script,
    *,
    progress: Progress | None = None,
    source: str = "sql",
    looks: Sequence[Look] = (),
) -> Reading:
    """Build `script` on the empty scratch `database` and read the catalog it leads to."""
    from pgcharter.sources import live, recorder
    from pgcharter.sources.build import Builder, unresolved_roles
    from pgcharter.sources.places import locate
    from pgcharter.sources.trace import Trace

    recorded = recorder.install(database.admin)
    seen = Trace(database.scratch.major)
    builder = Builder(database, trace=seen)
    file = ""
    for number, step in enumerate(script.steps):
        if progress and number % 50 == 0:
            progress("building", number, len(script.steps))
        if file and step.file != file:
            builder.end_file()
        file = step.file
        builder.run(step.statement, step.sql)
    made = recorder.read(database.admin)
    recorder.remove(database.admin)
    catalog = anonymous(live.read_catalog(database.admin))
    unplaced = () if recorded else (_UNPLACED,)
    places = locate(made, builder.numbered, catalog)
    reading = Reading(
        target,
        source,
        catalog=catalog,
        statements=script.statements,
        unbuilt=tuple(builder.unbuilt),
        places=places,
        effects=seen.effects,
        findings=(*script.findings, *builder.findings()),
        gaps=(*script.gaps, *builder.gaps, *unresolved_roles(builder), *unplaced),
        texts=script.texts,
    )
    return taken_on(database, reading, looks)
