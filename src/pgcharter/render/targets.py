"""Many targets on a terminal and as JSON: how a run ended in each, where each stands, the same thing told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pgcharter.render.migrations import took
from pgcharter.render.page import Page, Styled

NAMED = 6
"""Targets that are named where the same happened to more."""
_MARKS = {"done": ("✔", "good"), "up to date": ("✔", "good"), "stopped": ("▲", "warning"), "not begun": ("▲", "warning"),
          "behind": ("•", "info")}  # fmt: skip
_GOOD = ("done", "up to date")
_ORDER = (*_GOOD, "behind", "running", "stopped", "refused", "failed", "interrupted", "not begun")


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target."""

    name: str
    state: str
    """How the run ended there; or where it stands: up to date, behind, failed, stopped, running, refused."""
    database: str = ""
    schema: str = ""
    applied: tuple[str, ...] = ()
    """Titles of the migrations that this run finished; of a status: none."""
    pending: tuple[str, ...] = ()
    """Of a status: titles of what `up` would run."""
    duration_ms: int | None = None
    at: str = ""
    """The migration at which it ended."""
    unit: int = 0
    """The unit there, from 1."""
    reason: str = ""
    message: str = ""
    hint: str = ""
    place: str = ""
    sqlstate: str = ""
    again: str = ""
    """The command that goes on with this target alone."""

    @property
    def cause(self) -> tuple[object, ...]:
        """Equal where the same happened: the target's own name does not count."""
        said = self.message.replace(self.schema or self.database, "…") if self.schema or self.database else self.message
        return (self.state, self.reason, self.at, self.unit, self.sqlstate, self.place, said, self.pending)


def counts(rows: Sequence[TargetRow]) -> dict[str, int]:
    """How many targets are in each state."""
    found = dict.fromkeys(_ORDER, 0)
    for row in rows:
        found[row.state] = found.get(row.state, 0) + 1
    return {state: number for state, number in found.items() if number}


def line(row: TargetRow) -> tuple[Styled | str, ...]:
    """One target that has just ended, on one line."""
    mark, style = _MARKS.get(row.state, ("✖", "error"))
    many = f"{len(row.applied):,} {'migration' if len(row.applied) == 1 else 'migrations'}  " if row.applied else ""
    said = "" if row.state in _GOOD else f"{row.state}  "
    return (Styled(mark, style), f" {row.name}  {said}{many}", Styled(took(row.duration_ms), "dim"))


def ended(page: Page, rows: Sequence[TargetRow], seconds: float) -> None:
    """How a run over many targets ended: totals, then each cause once with the targets that it met."""
    words = ", ".join(f"{number:,} {state}" for state, number in counts(rows).items())
    page.flow(Styled(words, "strong"), f" of {_many(rows)} in {took(round(seconds * 1000))}")
    for group in _by_cause([r for r in rows if r.state not in _GOOD]):
        _tell(page, group)


def standing(page: Page, rows: Sequence[TargetRow], where: str) -> None:
    """Where the targets stand, those that stand alike told once."""
    words = ", ".join(f"{number:,} {state}" for state, number in counts(rows).items())
    page.flow(f"{_many(rows)} {where}: ", Styled(words, "strong"))
    for group in _by_cause(rows):
        first = group[0]
        if first.state in ("up to date", "behind"):
            page.blank()
            mark, style = _MARKS[first.state]
            behind = f"{len(first.pending):,} behind: " if first.pending else "up to date: "
            page.flow(Styled(f"{mark} ", style), Styled(behind, "strong"), names(group), indent=2, hanging=2)
            if first.pending:
                more = f" and {len(first.pending) - NAMED:,} more" if len(first.pending) > NAMED else ""
                page.flow(Styled(f"pending: {', '.join(first.pending[:NAMED])}{more}", "dim"), indent=4)
        else:
            _tell(page, group)


def names(group: Sequence[TargetRow]) -> str:
    """The targets of a group, the first few by name."""
    shown = ", ".join(r.name for r in group[:NAMED])
    return f"{shown} and {len(group) - NAMED:,} more" if len(group) > NAMED else shown


def _many(rows: Sequence[TargetRow]) -> str:
    return f"{len(rows):,} {'target' if len(rows) == 1 else 'targets'}"


def _by_cause(rows: Sequence[TargetRow]) -> list[list[TargetRow]]:
    found: dict[tuple[object, ...], list[TargetRow]] = {}
    for row in rows:
        found.setdefault(row.cause, []).append(row)
    return sorted(found.values(), key=lambda g: (g[0].state in _MARKS, g[0].state == "not begun"))


def _tell(page: Page, group: Sequence[TargetRow]) -> None:
    first = group[0]
    mark, style = _MARKS.get(first.state, ("✖", "error"))
    many = f"{_many(group)}, {names(group)}," if len(group) > 1 else first.name
    page.blank()
    page.flow(Styled(f"{mark} ", style), Styled(f"{many} {first.state}", "strong"), f": {first.message}", indent=2, hanging=2)
    for text in (first.place if first.place not in first.message else "", first.hint):
        if text:
            page.flow(Styled(text, "dim"), indent=4)
    if first.again:
        page.flow(Styled(f"{'the first' if len(group) > 1 else 'this one'} alone: {first.again}", "dim"), indent=4)


def data(rows: Sequence[TargetRow], form: str, **more: Any) -> dict[str, Any]:
    """Document `pgcharter-migrate-targets-run` or `pgcharter-migrate-targets-status`, as `form` says."""
    from pgcharter.render.json import VERSION

    return {"format": form, "version": VERSION, **more, "totals": counts(rows), "targets": [asdict(r) for r in rows]}
