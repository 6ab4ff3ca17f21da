"""A saga on the screen: what it is called, what it is at, and its timeline."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgcharter.cli.output import screen, show
from pgcharter.render.page import Page, Styled

if TYPE_CHECKING:
    from pgcharter.runtime.sagas import Status

SIGNS = {"completed": ("✔", "good"), "compensated": ("✔", "dim"), "failed": ("✘", "bad"), "skipped": ("·", "dim")}


def name(s: Status) -> str:
    """What a saga is called."""
    return f"{s.type} v{s.version}" + (f" {s.key}" if s.key else "") + (f" of {s.tenant}" if s.tenant else "")


def doing(s: Status) -> str:
    """What it is at, or waits for."""
    said = f" at {s.step}" if s.step and not s.ended else ""
    said += f", waiting for {s.waiting}" if s.waiting else f", due since {time(s.next_at)} and taken by nobody" if s.overdue else ""
    said += f", stuck since {time(s.stuck_at)}" if s.stuck_at else ""
    return said + (f": {s.error}" if s.error else "")


def timeline(at: Status, steps: list[dict[str, Any]], history: list[dict[str, Any]], letters: list[dict[str, Any]]) -> None:
    """Print how a saga stands, and all that happened to it, in order."""
    page = Page(screen())
    page.flow(Styled(str(at.saga_id), "strong"), f" {name(at)} {at.status}{doing(at)}", hanging=2)
    if at.worker:
        page.flow(f"held by {at.worker} until {time(at.lease_until)}", indent=2, hanging=2)
    names = {s["number"]: s["step"] for s in steps}
    lines: list[tuple[datetime, str, str, str]] = [(at.created_at, "·", "dim", "started")]
    for s in steps:
        again = f" after {s['failed']} failed attempts" if s["failed"] else ""
        if s["started_at"] and not (s["completed_at"] and s["status"] != "running"):
            lines.append((s["started_at"], "·", "info", f"{s['step']} {s['status']}{again}"))
        if s["completed_at"]:
            end = "failed" if s["status"] == "failed" or (s["status"] == "compensated" and s["failed"] and s["error"]) else "completed"
            sign, style = SIGNS[s["status"] if s["status"] in ("skipped", "failed") else end]
            lines.append((s["completed_at"], sign, style, f"{s['step']} {'skipped' if s['status'] == 'skipped' else end}{again}"))
        if s["compensated_at"]:
            lines.append((s["compensated_at"], "✔", "dim", f"{s['step']} compensated"))
    for h in history:
        what = f"{names.get(h['number'], '')} {h['event']}".strip() + (f" (attempt {h['attempt']})" if h["attempt"] else "")
        what += f" by {h['actor']}" if h["actor"] else ""
        lines.append((h["at"], "▲", "warning", what + (f": {h['message']}" if h["message"] else "")))
    for x in letters:
        kept = "" if x["taken_at"] else ", nothing has waited for it yet"
        lines.append((x["sent_at"], "·", "info", f"told: {x['kind']} {x['name']}{kept}"))
    last = [(at.completed_at, *SIGNS[at.status], at.status)] if at.completed_at else []
    for moment, sign, style, text in (*sorted(lines, key=lambda line: line[0]), *last):
        page.flow(f"{time(moment)} ", Styled(sign, style), f" {text}", indent=2, hanging=6)
    show(page)


def time(moment: datetime | None) -> str:
    """A moment in UTC."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def data(s: Status) -> dict[str, Any]:
    """For a program."""
    return {**{k: v for k, v in asdict(s).items() if k != "version"}, "definition_version": s.version}
