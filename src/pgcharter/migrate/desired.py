"""What the files make, held against what is declared: `[plan]` and the policies of the charter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgcharter.catalog.compare import Difference
from pgcharter.catalog.model import Catalog
from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError
from pgcharter.migrate import planning
from pgcharter.plan import diff
from pgcharter.plan.extent import extent
from pgcharter.plan.normal import normalised, unowned
from pgcharter.rules.library_tables import is_named
from pgcharter.sources import Progress

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch


def remaining(scratch: Scratch, made: Catalog, wish: planning.Wish, progress: Progress | None = None) -> tuple[Difference, ...]:
    """What must still change in `made`, the catalog of a scratch database, to get what `wish` declares.

    Owners and roles are not compared, nor what the declaration never mentions (`plan.extent`). Raises PgcharterError when it does not
    build, or has questions that only a person can answer.
    """
    declared = planning.declared(scratch, wish, Reading(wish.actual, "sql", made), (), progress).governed
    if declared.questions:
        raise PgcharterError(f"the files cannot be held against what is declared: {declared.questions[0]}", hint="pgcharter policy show")
    cut = extent(made, declared.catalog, library=is_named, ours=declared.ours)
    a, b = normalised(cut.a, cut.b)
    return diff.differences(unowned(a), unowned(b))
