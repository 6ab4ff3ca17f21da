"""What `pgcharter advise` says of a workload, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pgcharter.render.page import Page, Screen, Styled
from pgcharter.render.phrases import plural

if TYPE_CHECKING:
    from pgcharter.findings import Gap
    from pgcharter.watch.workload import Counters, Use
    from pgcharter.watch.workload_judge import Change, Shape
    from pgcharter.watch.workload_keep import Interval
    from pgcharter.watch.workload_report import Compared, Report
    from pgcharter.watch.workload_scans import Scan

_BLOCK = 8192
_HEAD = " share      total       calls      mean    rows each  cached      temp       log  trend   role"


def snapshot(screen: Screen, made: Interval | None, gaps: Iterable[Gap]) -> Page:
    """What a snapshot has seen."""
    page = Page(screen)
    if made is None:
        page.flow("somebody else is taking a snapshot; there is nothing to do")
    elif made.began is None:
        page.flow("this is the first snapshot: the next one tells what statements have cost since")
    else:
        since = f"since {made.began:%Y-%m-%d %H:%M:%S} UTC"
        page.flow(f"{plural(made.statements, 'statement')} ran {since}: {plural(made.calls, 'call')}, {_time(made.execution_ms)}")
        if made.was_reset:
            page.flow(Styled("▲ ", "warning"), "counters were reset meanwhile: what ran before that is missing", hanging=2)
        if made.evictions:
            page.flow(
                Styled("▲ ", "warning"),
                f"pg_stat_statements forgot statements {made.evictions:,} times: raise pg_stat_statements.max", hanging=2,
            )  # fmt: skip
    write_gaps(page, gaps)
    return page


def snapshot_data(called: str, made: Interval | None, gaps: Iterable[Gap]) -> dict[str, Any]:
    """The document of `advise snapshot --format json`."""
    return {
        "format": "pgcharter-advise-snapshot", "version": 1, "database": called, "taken": made is not None,
        "at": made and made.at.isoformat(), "began": made and made.began and made.began.isoformat(), "was_reset": made and made.was_reset,
        "evictions": made and made.evictions, "statements": made and made.statements, "calls": made and made.calls,
        "execution_ms": made and made.execution_ms, "not_seen": gaps_data(gaps),
    }  # fmt: skip


def workload(screen: Screen, called: str, found: Report, top: int) -> Page:
    """The most expensive statements, N+1 shapes, tables read whole."""
    page = Page(screen)
    start = f"{found.start:%Y-%m-%d %H:%M}" if found.start else "nothing"
    total = f"{plural(found.total.calls, 'call')}, {_time(found.total.execution_ms)}"
    page.flow(Styled(called, "strong"), f" · {start} to {found.end:%Y-%m-%d %H:%M} UTC · {total}")
    if found.uses:
        page.blank()
        page.line(Styled(_HEAD, "dim"))
    for use in found.uses[:top]:
        page.line(_figures(use, found))
        page.line(Styled(_cut(use.text or "(its text is not kept)", screen.width - 8), "code"), indent=8)
    _write_shapes(page, found.shapes, screen.width)
    _write_scans(page, found.scans, screen.width)
    page.blank()
    write_gaps(page, found.gaps)
    return page


def _figures(use: Use, found: Report) -> str:
    c = use.counters
    share = c.execution_ms / found.total.execution_ms if found.total.execution_ms else 0.0
    hit = "–" if c.hit is None else f"{c.hit:.0%}"
    return (
        f"{share:6.1%} {_time(c.execution_ms):>10} {c.calls:>11,} {_time(c.mean_ms):>9} {c.rows_each:>12,.1f} {hit:>7}"
        f" {size(c.temp_blocks * _BLOCK):>9} {size(c.wal_bytes):>9}  {_trend(use, found):<7} {use.role}"
    )


def _trend(use: Use, found: Report) -> str:
    if found.before is None:
        return "–"
    was = found.before.get(use.which)
    if was is None or not was.mean_ms:
        return "new"
    return f"{use.counters.mean_ms / was.mean_ms - 1:+.0%}"


def _write_shapes(page: Page, shapes: Iterable[Shape], width: int) -> None:
    for shape in shapes:
        page.blank()
        child, parent = shape.child.counters, shape.parent.counters
        page.flow(
            Styled("▲ ", "warning"), Styled("N+1", "strong"),
            f": {child.calls:,} calls, as many as the {parent.row_count:,} rows that {parent.calls:,} calls of another give,"
            f" {_time(child.execution_ms)} without the way there and back", hanging=2,
        )  # fmt: skip
        page.line(Styled(_cut(shape.parent.text, width - 8), "code"), indent=4)
        page.line("↳ ", Styled(_cut(shape.child.text, width - 8), "code"), indent=4)
        page.flow(
            Styled("→ ", "dim"), Styled("ask once for all of them: a join, or = ANY ($1); in an ORM eager loading", "command"),
            indent=4, hanging=2,
        )  # fmt: skip


def _write_scans(page: Page, scans: Iterable[Scan], width: int) -> None:
    for scan in scans:
        page.blank()
        since = f" since {scan.since:%Y-%m-%d}" if scan.since else ""
        page.flow(
            Styled("▲ ", "warning"), Styled(scan.table.sql(), "strong"),
            f" of {scan.rows:,} rows ({size(scan.bytes)}) was read from end to end {scan.scans:,} times{since},"
            f" by index {scan.index_scans:,} times", hanging=2,
        )  # fmt: skip
        for use in scan.statements:
            page.line(Styled(_cut(use.text, width - 4), "code"), indent=4)


def workload_data(called: str, found: Report, top: int) -> dict[str, Any]:
    """The document of `advise workload --format json`."""
    return {
        "format": "pgcharter-advise-workload", "version": 1, "database": called, "start": found.start and found.start.isoformat(),
        "end": found.end.isoformat(), "from_snapshots": found.from_snapshots, "calls": found.total.calls,
        "execution_ms": found.total.execution_ms,
        "statements": [_use(u) | {"mean_ms_before": _mean_before(u, found)} for u in found.uses[:top]],
        "n_plus_one": [{"parent": _use(s.parent), "child": _use(s.child), "spared_calls": s.spared} for s in found.shapes],
        "scans": [
            {"table": s.table.sql(), "rows": s.rows, "bytes": s.bytes, "scans": s.scans, "rows_read": s.rows_read,
             "index_scans": s.index_scans, "since": s.since and s.since.isoformat(), "statements": [_use(u) for u in s.statements]}
            for s in found.scans
        ],
        "not_seen": gaps_data(found.gaps),
    }  # fmt: skip


def _mean_before(use: Use, found: Report) -> float | None:
    was = (found.before or {}).get(use.which)
    return was.mean_ms if was else None


def _use(use: Use) -> dict[str, Any]:
    c: Counters = use.counters
    return {
        "query_id": str(use.which.query), "role": use.role, "top_level": use.which.top, "text": use.text, **asdict(c),
        "mean_ms": c.mean_ms, "rows_each": c.rows_each, "hit": c.hit,
    }  # fmt: skip


_VERDICTS = {"slower": "error", "more often": "warning", "new": "warning", "faster": "good", "steady": "dim"}


def regressions(screen: Screen, called: str, found: Compared) -> Page:
    """What differs between two times."""
    page = Page(screen)
    before, after = found.hours
    bad = sum(c.bad for c in found.changes)
    told = f"{plural(bad, 'statement')} {'costs' if bad == 1 else 'cost'} more" if bad else "nothing costs more"
    page.flow(
        Styled(called, "strong"), f" · {_hours(before)} before {found.split:%Y-%m-%d %H:%M %Z} against {_hours(after)} after · {told}"
    )
    for change in found.changes:
        _write_change(page, change, found.hours, screen.width)
    page.blank()
    write_gaps(page, found.gaps)
    return page


def _write_change(page: Page, change: Change, hours: tuple[float, float], width: int) -> None:
    was, now = change.before, change.use.counters
    page.blank()
    mean = f"{_time(was.mean_ms)} → {_time(now.mean_ms)} a call" if was.calls else f"{_time(now.mean_ms)} a call"
    often = f"{was.calls / hours[0]:,.0f} → {now.calls / hours[1]:,.0f} calls an hour"
    sign = "+" if change.costs_ms >= 0 else "−"
    page.flow(
        Styled(change.verdict, _VERDICTS[change.verdict]), f": {mean}, {often}, {sign}{_time(abs(change.costs_ms))} an hour",
        Styled(f"  {change.use.role}", "dim"), hanging=2,
    )  # fmt: skip
    page.line(Styled(_cut(change.use.text, width - 4), "code"), indent=4)


def regressions_data(called: str, found: Compared) -> dict[str, Any]:
    """The document of `advise regressions --format json`."""
    return {
        "format": "pgcharter-advise-regressions", "version": 1, "database": called, "split": found.split.isoformat(),
        "hours_before": found.hours[0], "hours_after": found.hours[1],
        "changes": [
            {"verdict": c.verdict, "bad": c.bad, "costs_ms_an_hour": c.costs_ms, "before": asdict(c.before), "after": _use(c.use)}
            for c in found.changes
        ],
        "not_seen": gaps_data(found.gaps),
    }  # fmt: skip


def write_gaps(page: Page, gaps: Iterable[Gap]) -> None:
    """What could not be seen, and why."""
    for gap in gaps:
        page.flow(Styled("not seen: ", "dim"), Styled(gap.what, "strong"), Styled(f": {gap.why}", "dim"), hanging=4)


def gaps_data(gaps: Iterable[Gap]) -> list[dict[str, str]]:
    """The same as JSON."""
    return [{"what": g.what, "why": g.why} for g in gaps]


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 2 else f"{hours * 60:.0f} min"


def _time(ms: float) -> str:
    for limit, unit, size in ((1.0, "µs", 0.001), (1000.0, "ms", 1.0), (120_000.0, "s", 1000.0), (7_200_000.0, "min", 60_000.0)):
        if ms < limit:
            return f"{ms / size:.3g} {unit}" if ms / size < 100 else f"{ms / size:,.0f} {unit}"
    return f"{ms / 3_600_000:,.1f} h"


def size(count: int) -> str:
    """Bytes for people."""
    for limit, unit, size in ((10_000, "B", 1), (10 << 20, "kB", 1 << 10), (10 << 30, "MB", 1 << 20)):
        if count < limit:
            return f"{count // size:,} {unit}"
    return f"{count / (1 << 30):,.0f} GB"


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(width, 20) - 1] + "…"
