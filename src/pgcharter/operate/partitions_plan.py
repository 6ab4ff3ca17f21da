"""What shall be done about partitions: made ahead, gaps closed, old ones taken out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise

from pgcharter.names import ObjectId
from pgcharter.operate.partitions_model import Action, Look, Part, TablePlan, bound_text, name_of
from pgcharter.policy.retention_settings import RetentionSection

MOST = 2000
"""Partitions that one plan makes of a table: what is more is a mistake in the charter."""
_ATTACH_LOCK = "SHARE UPDATE EXCLUSIVE on {table}, which nobody who reads or writes waits for"
_DETACH_LOCK = "SHARE UPDATE EXCLUSIVE on {table}; it waits for those who use the table now"
_PLAIN_LOCK = "ACCESS EXCLUSIVE on {table}, for as long as the catalog takes: there is a DEFAULT partition"
_NAMES = {"drop": "dropped", "keep": "left as a table", "schema": "moved to schema {to}"}


def plan(look: Look, section: RetentionSection, taken: Collection[ObjectId] = ()) -> TablePlan:
    """What shall be done about one table; `taken` are names that other relations have."""
    if look.problem or look.alone:
        return TablePlan(look, problems=(look.problem,) if look.problem else ())
    cut = section.kept(look.table.keep)
    limit = cut.before(look.now) if cut else None
    problems: list[str] = []
    creates = _creates(look, limit, frozenset(taken), problems)
    if look.default:
        problems.append(f"{look.id.sql()} has a DEFAULT partition, {look.default.sql()}: rows whose time nobody prepared for hide in it")
    actions = (*creates, *_finishes(look, limit), *_detaches(look, limit), *_releases(look, limit))
    return TablePlan(look, actions, tuple(problems), tuple(_notes(look, limit)), ahead(look))


def wanted(look: Look, limit: datetime | None) -> list[tuple[datetime, datetime]]:
    """Periods that must have a partition: those ahead, the one of now, some before it, and all since the newest that is there."""
    table = look.table
    lasts, zone = table.lasts, table.place
    now = lasts.start(look.now, zone)
    first = lasts.after(now, -table.past, zone)
    reach = [p.high for p in look.parts if p.high and p.high <= first]
    if reach:
        first = lasts.start(max(reach), zone)
    last = lasts.after(now, table.ahead, zone)
    found: list[tuple[datetime, datetime]] = []
    here = last
    while here >= first and len(found) < MOST:
        end = lasts.after(here, 1, zone)
        if limit is None or end > limit:
            found.append((here, end))
        here = lasts.after(here, -1, zone)
    return found[::-1]


def _creates(look: Look, limit: datetime | None, taken: frozenset[ObjectId], problems: list[str]) -> list[Action]:
    found = []
    names = {p.id for p in look.parts}
    for low, high in wanted(look, limit):
        rest = _uncovered(low, high, look.parts)
        if not rest:
            continue
        if rest != [(low, high)]:
            other = next(p for p in look.parts if p.low and p.high and p.low < high and p.high > low)
            problems.append(
                f"{look.id.sql()} needs {_said(low, high)}, and {other.id.sql()} holds a part of that only"
                f" ({_said(other.low, other.high)}): period and zone of the charter are not those it was partitioned by"
            )
            continue
        part = name_of(look.table, low)
        if part in names or part in taken:
            problems.append(f"{part.sql()} should be the partition {_said(low, high)} of {look.id.sql()}, and is something else")
            continue
        when = "the present" if low <= look.now < high else "what comes" if low > look.now else "rows that come late"
        sql = f"ALTER TABLE {look.id.sql()} ATTACH PARTITION {part.sql()} {bound_text(look.type, low, high)}"
        why = f"no partition is ready for {when}, {_said(low, high)}"
        found.append(Action("create", look.id, part, why, _ATTACH_LOCK.format(table=look.id.sql()), low, high, (sql,)))
    return found


def _uncovered(low: datetime, high: datetime, parts: Sequence[Part]) -> list[tuple[datetime, datetime]]:
    """What of a stretch no partition holds; one that is half detached holds it still."""
    rest = [(low, high)]
    for p in parts:
        if p.low is None or p.high is None:
            continue
        rest = [(a, b) for x, y in rest for a, b in ((x, min(y, p.low)), (max(x, p.high), y)) if a < b]
    return rest


def _finishes(look: Look, limit: datetime | None) -> list[Action]:
    return [
        Action(
            "finish", look.id, p.id, "its concurrent detach was interrupted, and no other can be detached until it ends",
            f"ACCESS EXCLUSIVE on {p.id.sql()} alone", p.low, p.high,
            (f"ALTER TABLE {look.id.sql()} DETACH PARTITION {p.id.sql()} FINALIZE",), rows=p.rows, over=p.marked and _over(p, limit),
        )
        for p in look.parts if p.pending and p.low and p.high
    ]  # fmt: skip


def _detaches(look: Look, limit: datetime | None) -> list[Action]:
    """Partitions all of whose time is over."""
    concurrently = look.default is None
    lock = (_DETACH_LOCK if concurrently else _PLAIN_LOCK).format(table=look.id.sql())
    word = " CONCURRENTLY" * concurrently
    becomes = fate(look)
    return [
        Action(
            "detach", look.id, p.id, f"all of it is older than {look.table.keep}, {_said(p.low, p.high)}; then it is {becomes}",
            lock, p.low, p.high, (f"ALTER TABLE {look.id.sql()} DETACH PARTITION {p.id.sql()}{word}",), concurrently, rows=p.rows,
        )
        for p in look.parts if p.low and p.high and _over(p, limit) and not p.pending
    ]  # fmt: skip


def _releases(look: Look, limit: datetime | None) -> list[Action]:
    return [
        Action("release", look.id, p.id, f"it was taken out of {look.id.sql()}, and is to be {fate(look)}",
               f"ACCESS EXCLUSIVE on {p.id.sql()} alone", p.low, p.high, rows=p.rows)
        for p in look.left if p.low and p.high and _over(p, limit)
    ]  # fmt: skip


def _over(part: Part, limit: datetime | None) -> bool:
    return bool(limit and part.high and part.high <= limit)


def fate(look: Look) -> str:
    """What becomes of old partitions, as words."""
    form = _NAMES.get(look.table.how, "written to {to} as {how}, read back and dropped")
    return form.format(to=look.table.to, how=look.table.how)


def _notes(look: Look, limit: datetime | None) -> list[str]:
    parts = sorted((p for p in look.parts if p.low and p.high), key=lambda p: p.low or look.now)
    holes = [(a.high, b.low) for a, b in pairwise(parts) if a.high and b.low and a.high < b.low]
    past = [(low, high) for low, high in holes if high <= look.now]
    found = [
        f"{p.id.sql()} was taken out of {look.id.sql()} and is not old any more: attach it again, or drop it"
        for p in look.left if p.low and p.high and not _over(p, limit)
    ]  # fmt: skip
    if not past:
        return found
    more = f", and {len(past) - 1} more" if len(past) > 1 else ""
    return [*found, f"{look.id.sql()} has no partition {_said(*past[-1])}{more}: rows of that time are refused"]


def ahead(look: Look) -> int:
    """Periods after the present one that have a partition, without a hole."""
    table, count = look.table, 0
    here = table.lasts.after(table.lasts.start(look.now, table.place), 1, table.place)
    while count < MOST and not _uncovered(here, end := table.lasts.after(here, 1, table.place), look.parts):
        count, here = count + 1, end
    return count


def _said(low: datetime | None, high: datetime | None) -> str:
    def one(at: datetime | None) -> str:
        return "" if at is None else f"{at:%Y-%m-%d}" if not (at.hour or at.minute) else f"{at:%Y-%m-%d %H:%M} UTC"

    return f"from {one(low)} to {one(high)}"
