"""How a walk through an example is told: part by part, each as soon as it was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcharter.examples.walk import Part
    from pgcharter.render.page import Page


def write(page: Page, number: int, part: Part) -> None:
    """One part: what held, and what was said."""
    from pgcharter.render.page import Styled

    page.line()
    page.flow(Styled(f"{number}", "strong"), " ", Styled(part.title, "heading"), Styled(f"  {part.seconds:.1f} s", "dim"), hanging=2)
    for seen in part.seen:
        page.flow(Styled("✔ ", "good"), seen.text, indent=2, hanging=2)
        if seen.quoted:
            page.flow(Styled(seen.quoted, "dim"), indent=6, hanging=2)


def data(part: Part) -> dict[str, Any]:
    """An item of `walk` in document `pgcharter-up`."""
    seen = [{"text": s.text, "quoted": s.quoted or None} for s in part.seen]
    return {"title": part.title, "seconds": round(part.seconds, 3), "seen": seen}
