"""A plan in the forms that others read: JSON, Markdown for a pull request, and a migration file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pgcharter.catalog.effect import Effect
from pgcharter.names import ObjectId, quote
from pgcharter.plan import grounds
from pgcharter.plan.model import Grade, Plan, Step
from pgcharter.render.bodies import Change, changes, shown
from pgcharter.render.effects import waits
from pgcharter.render.json import VERSION, object_data
from pgcharter.render.markdown import text
from pgcharter.render.phrases import plural
from pgcharter.render.plan import HEADINGS, Story, counted


def data(story: Story) -> dict[str, Any]:
    """Document `pgcharter-plan`."""
    plan, bodies = story.plan, changes(story.plan)
    return {
        "format": "pgcharter-plan",
        "version": VERSION,
        "actual": story.actual,
        "wanted": story.wanted,
        "major": plan.major,
        "before": plan.before,
        "after": plan.after,
        "proven": story.proven or None,
        "questions": list(plan.questions),
        "notes": list(plan.notes),
        "steps": [_step_data(s, story, shown(s, bodies)) for s in plan.steps],
        "reverse": [_step_data(s, story) for s in plan.reverse],
    }


def _step_data(step: Step, story: Story, change: Change | None = None) -> dict[str, Any]:
    return {
        "title": step.title,
        "sql": step.sql or None,
        "object": object_data(step.object),
        "diff": {"text": change.text, "layout_only": change.layout} if change else None,
        "phase": str(step.phase),
        "transaction": step.block or None,
        "waits": waits(step.effect, story.stats, story.lock_seconds).text if step.sql else None,
        "effect": _effect_data(step.effect) if step.sql else None,
        "grade": str(step.grade),
        "loses": step.loses or None,
        "gate": step.gate or None,
        "why": step.why or None,
        "backfill": {"table": object_data(step.backfill.table), "key": list(step.backfill.key)} if step.backfill else None,
    }


def _effect_data(effect: Effect) -> dict[str, Any]:
    def several(relations: Sequence[ObjectId]) -> list[dict[str, str]]:
        return [object_data(r) for r in relations]

    return {
        "locks": [{"relation": object_data(lock.relation), "mode": lock.mode.sql} for lock in effect.locks],
        "rewrites": several(effect.rewrites),
        "scans": several(effect.scans),
        "transactional": effect.transactional,
        "known": effect.known,
    }


def markdown(story: Story) -> Iterator[str]:
    """A comment for a pull request, in pieces."""
    plan = story.plan
    mark = "❌" if plan.questions else "⚠️" if any(s.grade is not Grade.LOSSLESS for s in plan.steps) else "✅"
    yield f"<!-- pgcharter:plan -->\n### {mark} pgcharter: plan for {text(story.wanted)}\n\n{text(counted(plan))}\n"
    for sentence in plan.questions:
        yield f"\n- ❌ {text(sentence)}"
    for sentence in plan.notes:
        yield f"\n- ℹ️ {text(sentence)}"
    phase = None
    for number, step in enumerate(plan.steps, 1):
        if step.phase is not phase:
            phase = step.phase
            yield f"\n\n**{phase}** ({HEADINGS[phase]})\n\n| | step | who waits | loses |\n|---:|---|---|---|"
        yield f"\n| {number} | {text(step.title or step.gate)} | {_waits_cell(step, story)} | {text(step.loses)} |"
    yield from _differences(plan)
    if not plan.empty:
        yield f"\n\n<details><summary>{plural(len(plan.steps), 'step')} as SQL</summary>\n\n{_fenced(body(plan.steps))}\n</details>\n"
    if story.proven:
        yield f"\n✅ {text(story.proven)}\n"


def _differences(plan: Plan) -> Iterator[str]:
    """What changes inside code, a fold for each piece."""
    bodies = changes(plan)
    for step in plan.steps:
        change = shown(step, bodies)
        if change and change.lines:
            said = f": {change.sentence}" if change.sentence else ""
            yield f"\n\n<details><summary>{text(str(step.object))}{said}</summary>\n\n{_fenced(change.text, 'diff')}\n</details>"


def _waits_cell(step: Step, story: Story) -> str:
    if step.gate:
        return "the application"
    return "nobody: in batches" if step.backfill else text(waits(step.effect, story.stats, story.lock_seconds).text)


def _fenced(sql: str, language: str = "sql") -> str:
    fence = "```"
    while fence in sql:
        fence += "`"
    return f"{fence}{language}\n{sql}\n{fence}"


def migration(story: Story, *, description: str, author: str, date: str) -> str:
    """The plan as a migration file of pgcharter's own layout: `up`, `down`, and marks for what the runner must know."""
    plan = story.plan
    head = [("Description", description), ("Author", author), ("Date", date), ("From", plan.before), ("To", plan.after),
            (grounds.MARK, grounds.written(plan))]  # fmt: skip
    lines = [f"-- {name}: {_one_line(value)}" for name, value in head if value]
    lines += ["", "-- pgcharter: up", "", body(plan.steps, story)]
    impossible = [s for s in plan.steps if s.grade is Grade.IMPOSSIBLE]
    if impossible:
        lines += ["", f"-- pgcharter: one-way {_one_line('; '.join(dict.fromkeys(s.loses or s.title for s in impossible)))}"]
    else:
        lines += ["", "-- pgcharter: down", "", body(plan.reverse)]
    return "\n".join(lines).rstrip() + "\n"


def body(steps: Sequence[Step], story: Story | None = None) -> str:
    """Steps as SQL, transactions written out, with what must be known as comments."""
    return "\n\n".join("\n".join(_block(block, story)) for block in Plan(steps=tuple(steps)).blocks())


def _block(block: Sequence[Step], story: Story | None) -> Iterator[str]:
    together = bool(block[0].block)
    if together:
        yield "BEGIN;"
    for step in block:
        yield from _remarks(step, story)
        if step.sql:
            yield f"{step.sql};"
    if together:
        yield "COMMIT;"


def _remarks(step: Step, story: Story | None) -> Iterator[str]:
    if step.gate:
        yield f"-- pgcharter: gate {_one_line(step.gate)}"
        return
    if step.backfill:
        yield f"-- pgcharter: batched key={', '.join(map(quote, step.backfill.key))}"
    elif story:
        yield f"-- {_one_line(step.title)}: {_one_line(waits(step.effect, story.stats, story.lock_seconds).text)}"
    if step.loses:
        yield f"-- {step.grade}: {_one_line(step.loses)}"
    if step.why:
        yield f"-- {_one_line(step.why)}"


def _one_line(value: str) -> str:
    return " ".join(value.split())
