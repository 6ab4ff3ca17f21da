"""A guide's scorecard as text: clause by clause, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

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


def write(page: Page, card: Scorecard, *, everything: bool = False) -> None:
    """Write the verdict on every clause, then the summary; clauses that no rule can prove share a line unless `everything` is asked for."""
    page.blank()
    page.flow(Styled(f"guide {card.guide.id}: {card.guide.title}", "strong"), Styled("  clause by clause", "dim"))
    width = max((columns(v.clause.id) for v in card.verdicts), default=0)
    sections: dict[str, list[Verdict]] = {}
    for verdict in card.verdicts:
        sections.setdefault(verdict.clause.section.partition(" / ")[0], []).append(verdict)
    for section, verdicts in sections.items():
        page.blank()
        page.flow(Styled(section, "heading"), "  ", *_tally(card.sections[section], long=False))
        together = [] if everything else [v for v in verdicts if _awaited(v)]
        for verdict in verdicts:
            if everything or not _awaited(verdict):
                _verdict(page, verdict, width)
        _together(page, together)
    page.blank()
    page.flow(*_tally(card.totals, long=True), Styled(f"of {plural(len(card.verdicts), 'clause')}", "dim"))
    if card.gaps:
        page.flow(Styled(f"as far as one could look: {plural(len(card.gaps), 'gap')} in what was read", "dim"))


def write_change(page: Page, card: Scorecard, at: datetime, before: Mapping[str, str]) -> None:
    """Write what has changed since an earlier scorecard, given as state by clause."""
    moved = [(v, before[v.clause.id]) for v in card.verdicts if before.get(v.clause.id, v.state) != v.state]
    if not moved:
        page.flow(Styled(f"as on {at:%Y-%m-%d %H:%M}", "dim"))
        return
    page.flow(Styled(f"since {at:%Y-%m-%d %H:%M}:", "dim"))
    for verdict, was in moved:
        mark, style = MARKS[verdict.state]
        once = "held" if was == "holds" else f"was {was}"
        now = "holds" if verdict.state == "holds" else f"is {verdict.state}"
        page.flow(Styled(f"{mark} {verdict.clause.id}", style), f" {once}, {now}", indent=2, hanging=2)


def _awaited(verdict: Verdict) -> str:
    """What an unproven clause waits for when no rule can look at it; empty for all others."""
    if verdict.state != "unproven" or verdict.clause.proof in ("rule", "sql") or verdict.clause.evidence:
        return ""
    return "for people to read" if verdict.clause.proof == "document" else "for features to come"


def _together(page: Page, verdicts: Sequence[Verdict]) -> None:
    waiting: dict[str, list[str]] = {}
    for verdict in verdicts:
        waiting.setdefault(_awaited(verdict), []).append(verdict.clause.id)
    for what, ids in waiting.items():
        page.flow(Styled(f"· {len(ids)} {what}: {', '.join(ids)}", "dim"), indent=2, hanging=2)


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
