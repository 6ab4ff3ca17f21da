"""What the files make, held against what is declared: `[plan] wanted` of the charter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgcharter.catalog.compare import Difference
from pgcharter.catalog.model import Catalog
from pgcharter.errors import PgcharterError
from pgcharter.findings import Severity
from pgcharter.migrate import proving
from pgcharter.plan import diff
from pgcharter.plan.extent import extent
from pgcharter.plan.normal import normalised, unowned
from pgcharter.rules.library_tables import is_named
from pgcharter.sources import Progress
from pgcharter.sources import read as read_target

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch


def remaining(
    scratch: Scratch, made: Catalog, wanted: str, scratch_url: str | None = None, progress: Progress | None = None
) -> tuple[Difference, ...]:
    """What must still change in `made`, the catalog of a scratch database, to get what the target `wanted` declares.

    Owners are not compared, nor what the declaration never mentions (`plan.extent`). Raises PgcharterError when it does not build.
    """
    reading = read_target(wanted, major=made.major, scratch_url=scratch_url, progress=progress)
    refused = next((f for f in reading.findings if f.severity is Severity.ERROR), None)
    if refused or reading.catalog is None:
        why = f", because it does not build: {refused.message}" if refused else ": it gives no catalog"
        message = f"the files cannot be held against {wanted}{why}"
        raise PgcharterError(message, place=str(refused.place or "") if refused else "", hint=f"pgcharter check {wanted}")
    declared = reading.catalog
    if declared.major != made.major:
        with scratch.database() as database:
            proving.build(database, declared)
            declared = proving.read(database)
    cut = extent(made, declared, library=is_named)
    a, b = normalised(cut.a, cut.b)
    return diff.differences(unowned(a), unowned(b))
