"""A plan as text for a terminal: what is done, who waits for it, what is lost, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgcharter.catalog.model import Stats
from pgcharter.plan.model import Grade, Phase, Plan, Step
from pgcharter.render.bodies import Change, changes, shown
from pgcharter.render.effects import LOCK_SECONDS, waits
from pgcharter.render.page import Page, Piece, Styled, columns
from pgcharter.render.phrases import plural, sql

HEADINGS = {
    Phase.EXPAND: "before the new release; the old one works on",
    Phase.BACKFILL: "while both releases run",
    Phase.CONTRACT: "when no old release runs any more",
}
_MARGIN = 7
"""Columns before a step's title: its number and the bracket of its transaction."""


@dataclass(frozen=True)
class Story:
    """A plan and what must be known to tell it."""

    plan: Plan
    wanted: str
    """What the database shall be, as the user named it."""
    actual: str
    """What it is."""
    stats: Stats | None = None
    lock_seconds: float = LOCK_SECONDS
    proven: str = ""
    """How the plan was tried on a scratch server; empty when it was not."""


def write(page: Page, story: Story, *, quiet: bool = False) -> None:
    """Write the plan; `quiet` leaves out the SQL."""
    plan = story.plan
    page.blank()
    page.flow(Styled(f"{story.actual} → {story.wanted}", "strong"), Styled(f" · {counted(plan)}", "dim"), hanging=2)
    bodies, number, phase = changes(plan), 0, None
    for block in plan.blocks():
        for place, step in enumerate(block):
            if step.phase is not phase:
                phase = step.phase
                page.blank()
                page.line(Styled(phase.upper(), "heading"), Styled(f"  {HEADINGS[phase]}", "dim"))
            number += 1
            _step(page, story, step, number, _bracket(place, len(block)), change=None if quiet else shown(step, bodies), quiet=quiet)
    _end(page, story)


def counted(plan: Plan) -> str:
    """`PostgreSQL 18 · 9 steps in 3 transactions, 1 backfill`."""
    if plan.empty:
        return f"PostgreSQL {plan.major} · nothing to do"
    transactions = sum(1 for block in plan.blocks() if block[0].block)
    parts = [plural(len(plan.steps), "step") + (f" in {plural(transactions, 'transaction')}" if transactions else "")]
    for word, count in (("backfill", sum(s.backfill is not None for s in plan.steps)), ("gate", sum(bool(s.gate) for s in plan.steps))):
        parts += [plural(count, word)] if count else []
    return f"PostgreSQL {plan.major} · {', '.join(parts)}"


def _bracket(place: int, size: int) -> str:
    """The mark that holds the steps of one transaction together."""
    if size == 1:
        return " "
    return "┌" if place == 0 else "└" if place == size - 1 else "│"


def _step(page: Page, story: Story, step: Step, number: int, bracket: str, *, change: Change | None, quiet: bool) -> None:
    head: list[Piece] = [Styled(f"{number:>4}", "dim"), Styled(f" {bracket} ", "dim")]
    if step.gate:
        page.line(*head, Styled("wait until ", "warning"), Styled(step.gate, "strong"))
        return
    verdict = (
        Styled("in batches; rows are locked for moments", "good") if step.backfill else waits(step.effect, story.stats, story.lock_seconds)
    )
    room = page.screen.width - _MARGIN - columns(step.title) - columns(verdict.text)
    if room >= 2:
        page.line(*head, Styled(step.title, "strong"), " " * room, verdict)
    else:
        page.line(*head, Styled(step.title, "strong"))
        page.line(verdict, indent=_MARGIN + 2)
    if step.loses:
        page.flow(Styled(f"{_GRADES[step.grade]}: {step.loses}", "error"), indent=_MARGIN + 2)
    if step.why:
        page.flow(Styled(step.why, "dim"), indent=_MARGIN + 2)
    if change:
        _difference(page, change)
    elif not quiet:
        for line in step.sql.splitlines():
            page.line(*sql(line), indent=_MARGIN + 2)


def _difference(page: Page, change: Change) -> None:
    """What changes inside code; the whole of it is for `--format sql`."""
    if change.sentence:
        page.line(Styled(change.sentence, "dim"), indent=_MARGIN + 2)
    for line in () if change.layout else change.lines:
        page.line(Styled(line.expandtabs(4), _COLOURS.get(line[:1], "")), indent=_MARGIN + 2)


_COLOURS = {"+": "good", "-": "bad", "@": "info"}
_GRADES = {Grade.LOSSLESS: "back without loss", Grade.LOSSY: "lost for good", Grade.IMPOSSIBLE: "no way back"}


def _end(page: Page, story: Story) -> None:
    page.blank()
    for question in story.plan.questions:
        page.flow(Styled("✖ ", "error"), question, hanging=2)
    for note in story.plan.notes:
        page.flow(Styled("• ", "info"), note, hanging=2)
    if not story.plan.empty:
        page.flow(*_verdict(story.plan.steps))
    if story.proven:
        page.flow(Styled("✔ ", "good"), story.proven, hanging=2)


def _verdict(steps: Sequence[Step]) -> Iterator[Piece]:
    """One sentence on who waits and what is lost."""
    losing = [s for s in steps if s.grade is not Grade.LOSSLESS]
    long = [s for s in steps if s.effect.strongest and s.effect.strongest.stops_writes and (s.effect.rewrites or s.effect.scans)]
    yield Styled("✔ " if not long else "▲ ", "good" if not long else "warning")
    yield (
        "nobody waits longer than for a lock"
        if not long
        else f"{plural(len(long), 'step')} {'makes' if len(long) == 1 else 'make'} others wait while data is read or rewritten"
    )
    yield "; "
    yield Styled("✔ ", "good") if not losing else Styled("✖ ", "error")
    yield "every step can be taken back without loss" if not losing else f"{plural(len(losing), 'step')} cannot be taken back without loss"
