"""Migrations on a terminal and as JSON: what is applied, what is pending, what stands in the way, what was edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pgcharter.render.page import Page, Styled, clean, columns

SHOWN = 10
"""Applied migrations that are shown when nobody asks for all."""
_MARKS = {
    "applied": ("✔", "good"), "pending": ("•", "info"), "changed": ("•", "info"), "edited": ("✖", "error"), "missing": ("✖", "error"),
    "failed": ("✖", "error"), "running": ("▲", "warning"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One migration."""

    version: str
    name: str
    state: str
    kind: str = "versioned"
    file: str = ""
    checksum: str = ""
    description: str = ""
    author: str = ""
    applied_at: str = ""
    """Day and time in UTC."""
    duration_ms: int | None = None
    applied_by: str = ""
    outcome: str = ""
    """done, baseline or accepted, for what is applied."""
    tool_version: str = ""
    late: bool = False
    """Pending, and something with a higher version is applied."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stands in the way, or is worth a warning."""

    kind: str
    message: str
    hint: str = ""
    place: str = ""
    refuses: bool = True
    difference: tuple[str, ...] = ()
    """Of an edited file: a unified difference."""


def status(page: Page, rows: Sequence[Row], troubles: Sequence[Trouble], folder: str, database: str, *, everything: bool) -> None:
    """Totals, a table, then what stands in the way."""
    words = [(word, sum(r.state == word for r in rows)) for word in _MARKS]
    counts = ", ".join(f"{count:,} {word}" for word, count in words if count) or "no migrations"
    page.flow(Styled(counts, "strong"), f" in {folder}", f" on {database}" if database else "")
    done = [r for r in rows if r.state == "applied"]
    hidden = set(map(id, done[:-SHOWN])) if not everything else set()
    if hidden:
        page.blank()
        page.line(Styled(f"{len(hidden):,} applied earlier are not shown; --all shows them", "dim"), indent=2)
    shown = [r for r in rows if id(r) not in hidden]
    if shown and not hidden:
        page.blank()
    table(page, shown)
    tell(page, troubles)


def table(page: Page, rows: Sequence[Row]) -> None:
    """One line a migration, in aligned columns."""
    widths = [max((columns(clean(text)) for text in texts), default=0) for texts in zip(*map(_cells, rows), strict=True)] if rows else []
    for row in rows:
        mark, style = _MARKS[row.state]
        cells = [text + " " * (width - columns(clean(text))) for text, width in zip(_cells(row), widths, strict=True)]
        page.line(Styled(mark, style), " ", Styled(cells[0], "strong"), f"  {cells[1]}  ", Styled(cells[2], style), "  ",
                  Styled("  ".join(cells[3:]), "dim"), indent=2)  # fmt: skip


def _cells(row: Row) -> list[str]:
    state = "out of order" if row.late and row.state == "pending" else row.state
    if row.state == "applied" and row.outcome in ("baseline", "accepted"):
        state = row.outcome
    return [row.version or row.kind, row.name, state, row.applied_at, took(row.duration_ms), row.applied_by]


def took(milliseconds: int | None) -> str:
    """A duration as a person says it."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return (
        f"{int(seconds) // 60} min {int(seconds) % 60} s" if seconds < 7200 else f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"
    )


def tell(page: Page, troubles: Sequence[Trouble]) -> None:
    """What stands in the way, each with its remedy and what was edited."""
    for trouble in troubles:
        page.blank()
        mark = Styled("✖ ", "error") if trouble.refuses else Styled("▲ ", "warning")
        page.flow(mark, trouble.message, indent=2, hanging=2)
        if trouble.hint:
            page.flow(Styled(trouble.hint, "dim"), indent=4)
        difference(page, trouble.difference)


def difference(page: Page, lines: Sequence[str]) -> None:
    """A unified difference, coloured."""
    for line in lines:
        style = "strong" if line.startswith(("---", "+++")) else {"+": "good", "-": "bad", "@": "info"}.get(line[:1], "dim")
        page.line(Styled(line, style), indent=6)


def status_data(rows: Sequence[Row], troubles: Sequence[Trouble], notes: Sequence[str], folder: str, database: str) -> dict[str, Any]:
    """Document `pgcharter-migrate-status`."""
    from pgcharter.render.json import VERSION

    return {
        "format": "pgcharter-migrate-status",
        "version": VERSION,
        "folder": folder,
        "database": database,
        "totals": {word: sum(r.state == word for r in rows) for word in _MARKS},
        "migrations": [asdict(r) for r in rows],
        "problems": [asdict(t) for t in troubles],
        "notes": list(notes),
    }
