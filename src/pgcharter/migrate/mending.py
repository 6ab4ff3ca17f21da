"""From the fixes of findings to one plan: they are run on a scratch copy of the schema, and the way there is planned like any other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError
from pgcharter.findings import Finding
from pgcharter.migrate import proving
from pgcharter.migrate.proving import Proof
from pgcharter.plan import planner
from pgcharter.plan.extent import extent
from pgcharter.plan.model import Plan
from pgcharter.plan.normal import normalised
from pgcharter.plan.safe_ground import Style
from pgcharter.sources import Progress
from pgcharter.sqltext import parse

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase

_OF_SERVER = frozenset((
    "alter_system_stmt", "create_role_stmt", "alter_role_stmt", "alter_role_set_stmt", "drop_role_stmt", "grant_role_stmt",
))  # fmt: skip
"""Kinds of statement that change a whole server: also the scratch server, which may be one that others use."""


@dataclass(frozen=True)
class Mended:
    """One plan for many findings."""

    plan: Plan
    mended: tuple[Finding, ...] = ()
    """Findings that it clears."""
    left: tuple[tuple[Finding, str], ...] = ()
    """Findings whose fix cannot be part of it, and why."""
    proof: Proof | None = None


def mend(
    reading: Reading, findings: Sequence[Finding], *, style: Style, scratch_url: str | None = None, progress: Progress | None = None
) -> Mended:
    """Plan the fixes of `findings` for the schema of `reading`; those without a fix are left out.

    Raises UnavailableError when no PostgreSQL of the schema's major version is at hand, PgcharterError when it cannot be built there.
    """
    from pgcharter.servers.scratch import open_scratch

    assert reading.catalog is not None  # noqa: S101  (findings with fixes come from a catalog)
    a = extent(reading.catalog, reading.catalog).a
    with open_scratch(a.major, url=scratch_url) as scratch:
        with scratch.database() as database:
            proving.build(database, a)
            mended, left = _fixed(database, findings, progress)
            a, b = normalised(a, proving.read(database, a))
        plan = planner.plan(a, b, sizes=reading.stats, style=style, apart={i for i, _ in a.objects()})
        tried = not plan.empty and not plan.questions
        proof = proving.must_hold(proving.prove(scratch, a, plan, b, progress)) if tried else None
    return Mended(plan, mended, left, proof)


def _fixed(
    database: ScratchDatabase, findings: Iterable[Finding], progress: Progress | None
) -> tuple[tuple[Finding, ...], tuple[tuple[Finding, str], ...]]:
    """Run the fixes one after another; one that is refused leaves nothing behind."""
    of_server = [f for f in findings if any(s.kind in _OF_SERVER for sql in f.fix for s in parse(sql, "").statements)]
    with_fix = [f for f in findings if f.fix and f not in of_server]
    mended: list[Finding] = []
    left = [(f, f"it changes the server and not the schema, so no migration does it: {'; '.join(f.fix)}") for f in of_server]
    done: set[str] = set()
    for number, finding in enumerate(with_fix):
        if progress:
            progress("mending", number, len(with_fix))
        fresh = [sql for sql in finding.fix if sql not in done]
        together = nullcontext() if any("CONCURRENTLY" in sql.upper() for sql in fresh) else database.conn.transaction()
        try:
            with together:
                proving.execute(database, fresh)
        except PgcharterError as error:
            left.append((finding, error.message))
            continue
        done.update(fresh)
        mended.append(finding)
    return tuple(mended), tuple(left)
