"""A guide's scorecard as text: clause by clause, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgcharter.guides.score import STATES, Scorecard, State, Verdict
from pgcharter.render.page import Page, Piece, Styled, columns
from pgcharter.render.phrases import plural

MARKS: Mapping[State, tuple[str, str]] = {
    "holds": ("✔", "good"),
    "broken": ("✘", "error"),
    "unproven": ("·", "dim"),
    "waived": ("~", "warning"),
}
WORDS: Mapping[State, str] = {"holds": "hold", "broken": "broken", "unproven": "unproven", "waived": "waived"}


def write(page: Page, card: Scorecard) -> None:
    """Write the verdict on every clause, then the summary."""
    page.blank()
    page.flow(Styled(f"guide {card.guide.id}: {card.guide.title}", "strong"), Styled("  clause by clause", "dim"))
    width = max((columns(v.clause.id) for v in card.verdicts), default=0)
    section = None
    for verdict in card.verdicts:
        top = verdict.clause.section.partition(" / ")[0]
        if top != section:
            section = top
            page.blank()
            page.flow(Styled(top, "heading"), "  ", *_tally(card.sections[top], long=False))
        _verdict(page, verdict, width)
    page.blank()
    page.flow(*_tally(card.totals, long=True), Styled(f"of {plural(len(card.verdicts), 'clause')}", "dim"))
    if card.gaps:
        page.flow(Styled(f"as far as one could look: {plural(len(card.gaps), 'gap')} in what was read", "dim"))


def _verdict(page: Page, verdict: Verdict, width: int) -> None:
    mark, style = MARKS[verdict.state]
    clause = verdict.clause
    text: Piece = Styled(clause.text, "dim") if verdict.state == "unproven" else clause.text
    reason = f"  ({verdict.reason})" if verdict.reason else ""
    page.flow(
        Styled(f"{mark} {clause.id.ljust(width)}", style),
        "  ",
        text,
        Styled(reason, "error" if verdict.state == "broken" else "dim"),
        indent=2,
        hanging=width + 4,
    )


def _tally(totals: Mapping[State, int], *, long: bool) -> Iterator[Piece]:
    for state in STATES:
        if totals[state]:
            mark, style = MARKS[state]
            yield Styled(f"{mark} {totals[state]}" + (f" {WORDS[state]}" if long else ""), style)
            yield "  "
