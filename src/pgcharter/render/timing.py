"""The times of pending migrations, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgcharter.catalog.effect import Mode
from pgcharter.findings import Place
from pgcharter.names import ObjectId
from pgcharter.render.migrations import took
from pgcharter.render.page import Page, Styled


@dataclass(frozen=True, slots=True)
class Timed:
    """One statement and its time."""

    title: str
    """Of its migration."""
    place: Place
    sql: str
    measured: float
    """Seconds it took on the rows that were made."""
    batched: bool = False
    """The runner does it in batches, each a transaction of its own."""
    rows: int = 0
    """Rows there of the tables that it read or wrote whole; 0 when its time does not go with rows."""
    real: int = 0
    """Rows of the same tables in production."""
    seconds: float | None = None
    """How long it would take with them; None: nobody knows."""
    sure: str = "measured"
    """measured, estimated, rough or unknown."""
    why: str = ""
    """Why it is unknown."""
    lock: Mode | None = None
    """The strongest lock that stops writes, or reads too, on a table that was there before."""
    table: ObjectId | None = None
    """The table it is on."""
    held: float | None = None
    """Seconds that it is held, to the end of the transaction; None without one, or when nobody knows."""


def table(page: Page, steps: Sequence[Timed], unfilled: Mapping[ObjectId, str], longest: float | None) -> None:
    """Each statement with its time, and who waits for it that long."""
    page.blank()
    page.line(Styled("how long it takes with production's sizes, on this machine:", "strong"))
    title = ""
    for step in steps:
        if step.title != title:
            title = step.title
            page.blank()
            page.line(Styled(title, "strong"), f"  {step.place.file}", indent=2)
        page.flow(Styled(f"{step.place.line:>4}  ", "dim"), one_line(step.sql), indent=2, hanging=6)
        page.flow(Styled(duration(step), "warning" if step.sure in ("unknown", "rough") else "info"), indent=8, hanging=2)
        if step.lock:
            late = longest is not None and (step.held is None or step.held > longest)
            page.flow(Styled(waits(step), "bad" if late else "dim"), indent=8, hanging=2)
    for name, why in sorted(unfilled.items()):
        page.blank()
        page.flow(Styled("▲ ", "warning"), f"{name.sql()} could not be filled, so times on it are unknown: {why}", indent=2, hanging=2)


def one_line(sql: str, most: int = 100) -> str:
    """A statement on one line, cut to `most` characters."""
    text = " ".join(sql.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def duration(step: Timed) -> str:
    """`measured 0.31 s on 200,000 rows, about 75.0 s at 48,000,000 (240 times as many: rough, …)`."""
    measured = took(round(step.measured * 1000))
    batches = " in batches" if step.batched else ""
    if step.sure == "unknown" or step.seconds is None:
        return f"unknown ({step.why}); {measured} here"
    if step.sure == "measured":
        return f"{measured}{batches}" + (f" on all {step.rows:,} rows" if step.rows else ", whatever the size")
    times = step.real / step.rows
    rough = ": rough, perhaps three times that" if step.sure == "rough" else ""
    many = f"{times:,.1f}" if times < 10 else f"{times:,.0f}"
    about = took(round(step.seconds * 1000))
    return f"measured {measured} on {step.rows:,} rows, about {about}{batches} at {step.real:,} ({many} times as many{rough})"


def waits(step: Timed) -> str:
    """Who waits, and how long: to the end of the transaction."""
    assert step.lock is not None and step.table is not None  # noqa: S101, PT018
    who = "reads and writes" if step.lock.stops_reads else "writes"
    long = f"about {took(round(step.held * 1000))}" if step.held is not None else "nobody knows how long"
    return f"{who} of {step.table.sql()} wait {long} ({step.lock.sql}, to the end of its transaction)"


def data(steps: Sequence[Timed], unfilled: Mapping[ObjectId, str]) -> dict[str, Any]:
    """The same for a JSON document."""
    return {
        "steps": [
            {
                "migration": s.title,
                "file": s.place.file,
                "line": s.place.line,
                "sql": s.sql,
                "measured_ms": round(s.measured * 1000, 1),
                "rows": s.rows,
                "production_rows": s.real,
                "estimated_ms": None if s.seconds is None else round(s.seconds * 1000, 1),
                "sure": s.sure,
                "why": s.why,
                "in_batches": s.batched,
                "lock": s.lock.sql if s.lock else None,
                "table": s.table,
                "held_ms": None if s.held is None else round(s.held * 1000, 1),
            }
            for s in steps
        ],
        "unfilled": [{"table": t, "why": why} for t, why in sorted(unfilled.items())],
    }
