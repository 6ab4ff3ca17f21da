"""What `pgcharter init` makes of a project that is already there: which guide it follows most, and by how much it deviates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgcharter.errors import PgcharterError, UnavailableError

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.render.page import Page
    from pgcharter.rules.nearest import Candidate

SHOWN = 3
"""Rules of the nearest guide that are named as deviating most."""


def propose(target: str) -> tuple[list[Candidate], str]:
    """The built-in guides by their distance from `target`, nearest first; or why nothing can be proposed."""
    from pgcharter import guides
    from pgcharter.rules import engine
    from pgcharter.rules.nearest import candidates

    try:
        reading = _read(target)
    except PgcharterError as error:
        return [], error.message
    codes = engine.load()
    found = candidates(reading, [guides.load(name, codes=codes) for name in guides.available() if name != "core"])
    return found, "" if found else "it holds no table"


def _read(target: str) -> Reading:
    from pgcharter import sources
    from pgcharter.cli.progress import progress
    from pgcharter.redact import redact

    with progress(f"looking at {redact(target)}") as advance:
        try:
            return sources.read(target, progress=advance)
        except UnavailableError:
            return sources.read(target, server=False, progress=advance)


def write_proposal(page: Page, target: str, found: Sequence[Candidate], why: str, *, chosen: str) -> None:
    """Write the guides by distance, what the nearest would have to say, and how to take it."""
    from pgcharter.redact import redact
    from pgcharter.render.page import Styled
    from pgcharter.render.phrases import plural

    page.blank()
    if not found:
        page.flow(f"no guide proposed: {redact(target)} could not be judged, {redact(why)}", indent=2)
        return
    page.line(Styled("nearest guides", "strong"), Styled(f"  by the house style of {redact(target)}", "dim"))
    width = max(len(c.guide.id) for c in found)
    for number, one in enumerate(found):
        name = Styled(one.guide.id.ljust(width), "good" if number == 0 else "")
        deviations = plural(one.deviations.total(), "deviation")
        page.line(name, f"  follows {one.followed:>2} of {one.asked:>2} house rules, {deviations:>16}", indent=2)
    first = found[0]
    if first.deviations:
        most = ", ".join(f"{_slug(code)} {count:,}" for code, count in first.deviations.most_common(SHOWN))
        page.flow(Styled(f"{first.guide.id} would mostly say: {most}", "dim"), indent=2)
    if first.guide.id != chosen:
        page.flow(Styled(f"pgcharter init --force --guide {first.guide.id}", "command"), Styled("  takes it", "dim"), indent=2)


def _slug(code: str) -> str:
    from pgcharter.render.source_codes import described

    known = described(code)
    return f"{code} {known.slug}" if known else code
