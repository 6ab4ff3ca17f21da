"""Revisions tried on a scratch server: up, down and up again by env.py itself, the catalogs compared after each way."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError
from pgcharter.migrate import alembic_env
from pgcharter.migrate.there_and_back import Tried, left_over, reading
from pgcharter.sources import taken

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

    from pgcharter.migrate.model import Migration
    from pgcharter.servers.scratch import Scratch
    from pgcharter.sources import Look, Progress
    from pgcharter.sources.alembic import Project


def tried(
    project: Project,
    scratch: Scratch,
    before: Sequence[Migration],
    rest: Sequence[Migration],
    progress: Progress | None = None,
    looks: Sequence[Look] = (),
) -> Iterator[Tried]:
    """Run `before`, take `looks` there, then try each of `rest` in order.

    Raises PgcharterError with file and line for a revision that fails there: what follows cannot be tried then.
    """
    with scratch.database() as database:
        _run(project, database.dsn, before, "up", progress)
        at = taken(reading(database), database.conn, looks)
        for number, m in enumerate(rest):
            if progress:
                progress(m.title, number, len(rest))
            up = _run(project, database.dsn, (m,), "up")
            there = reading(database)
            if m.down is None or m.one_way:
                yield Tried(m, up, at=at, there=there)
            else:
                down = _run(project, database.dsn, (m,), "down")
                left = left_over(reading(database), at)
                _run(project, database.dsn, (m,), "up")
                yield Tried(m, up, down, left, left_over(reading(database), there), at, there)
            at = there


def _run(project: Project, dsn: str, migrations: Sequence[Migration], way: str, progress: Progress | None = None) -> float:
    """Run revisions in one run of env.py; return the seconds they took."""
    from alembic.runtime.migration import MigrationStep

    at: Migration | None = None

    def steps(_heads: tuple[str, ...], context: MigrationContext) -> Iterable[Any]:
        nonlocal at
        make = MigrationStep.upgrade_from_script if way == "up" else MigrationStep.downgrade_from_script
        for number, at in enumerate(migrations):
            if progress:
                progress("building", number, len(migrations))
            script: Any = project.script.get_revision(at.version)
            yield make(project.script.revision_map, script)
            alembic_env.commit(context)

    began = time.perf_counter()
    try:
        alembic_env.visit(project, dsn, steps)
    except Exception as error:
        what = f"{at.title} ({way})" if at else "env.py"
        said = " ".join(str(alembic_env.first(error)).split())
        place = str(alembic_env.origin(project, error))
        raise PgcharterError(f"{what} cannot be run on a scratch server: {said}", place=place) from None
    return time.perf_counter() - began
