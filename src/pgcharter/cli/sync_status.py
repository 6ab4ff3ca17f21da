"""`pgcharter sync status`: how far every sink is, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgcharter.cli import sync_two_way
from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.sync import sync, work
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.stream.slots import Slot
    from pgcharter.stream.standing import Round, Sink, Standing
    from pgcharter.stream.twoway_declared import Declared

STATUS = (
    ("pgcharter sync status", "ends in 1 when something is wrong"),
    ("pgcharter sync status --format json", "the same for a program"),
)


@sync.command("status", cls=Command, examples=STATUS)
@database_options
@format_option
def status(environment: str | None, target: str | None, form: str) -> int:
    """Say how far each sink is in bytes, seconds and rows, what the slot holds back, how far seeds are, and how the last comparisons ended.

    Ends in 1 when something is wrong.
    """
    from pgcharter.measures import size
    from pgcharter.stream import source, standing

    both, only = sync_two_way.two_ways(environment, target)
    if only:
        return _only(both, form)
    job, _, section = work(environment, target)
    stands = sync_two_way.stands(both, size(section.keep))
    with source.open_source(job.dsn) as conn:
        found = standing.look(conn, job, size(section.keep))
    if form == "json":
        show_json(_data(job.slot, found) | {"two_way": [sync_two_way.stand_data(one) for one in stands]})
    else:
        _tell(job.slot, found)
        for one in stands:
            sync_two_way.tell_stand(one)
    return Exit.FINDINGS if found.problems or any(one.problems for one in stands) else Exit.FINE


def _only(both: list[Declared], form: str) -> int:
    """Where all copies are both ways."""
    from pgcharter.cli.project import charter_here
    from pgcharter.measures import size
    from pgcharter.policy.sync_settings import SECTION

    stands = sync_two_way.stands(both, size(charter_here().section(SECTION).keep))
    if form == "json":
        show_json({"format": "pgcharter-sync-status", "version": 1, "two_way": [sync_two_way.stand_data(one) for one in stands]})
    else:
        for one in stands:
            sync_two_way.tell_stand(one)
    return Exit.FINDINGS if any(one.problems for one in stands) else Exit.FINE


def _tell(name: str, found: Standing) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    if found.slot is not None:
        slot = found.slot
        reader = f"read by process {slot.pid}" if slot.pid else "read by nobody"
        page.flow(
            "slot ",
            Styled(name, "strong"),
            f": {slot.status}, {reader}, holds {_bytes(slot.held)} of log, {f'{slot.lag} changes' if _counts(slot) else _bytes(slot.lag)}"
            " not confirmed",
        )
    for sink in found.sinks:
        kept = sink.kept
        waits = "" if sink.behind_rows is None else f"{sink.behind_rows} changes, "
        line = f": {kept.state}, {waits}{_bytes(sink.behind_bytes)} and {kept.behind:.1f} s behind, {kept.rows} rows written"
        page.flow(
            "sink ", Styled(kept.sink, "strong"), line + (f", {_bytes(kept.spilled)} in its file" if kept.spilling else ""), hanging=2
        )
        for seed in (s for s in sink.seeds if s.state != "done"):
            page.flow(f"seed of {seed.source}: {seed.state}, {seed.rows} of about {max(seed.total, seed.rows)} rows", indent=2, hanging=2)
    for one in found.compared:
        said = one.said
        counts = f"{one.rows} rows, {said['found']} differed, {said['repaired']} repaired"
        page.flow("compared ", Styled(f"{one.table} → {one.sink}", "strong"), f": {counts}, {one.at:%Y-%m-%d %H:%M} UTC", hanging=2)
    for one in found.batches:
        line = f": {one.rows} rows written, the next from {one.said.get('next')}, {one.at:%Y-%m-%d %H:%M} UTC"
        page.flow("batch ", Styled(f"{one.table} → {one.sink}", "strong"), line, hanging=2)
    for problem in found.problems:
        page.flow(Styled("✘ ", "error"), problem, hanging=2)
    show(page)


def _counts(slot: Slot) -> bool:
    """Whether what is not confirmed is counted in changes: where triggers write them down."""
    return slot.plugin == "triggers"


def _bytes(count: int) -> str:
    return f"{count} B" if count < 10_000 else f"{count / 1024:.0f} kB" if count < 10 << 20 else f"{count / (1 << 20):.0f} MB"


def _data(name: str, found: Standing) -> dict[str, Any]:
    slot = found.slot
    return {
        "format": "pgcharter-sync-status", "version": 1,
        "slot": slot and {
            "name": name, "status": slot.status, "pid": slot.pid, "held_bytes": slot.held,
            "lag_bytes": None if _counts(slot) else slot.lag, "lag_rows": slot.lag if _counts(slot) else None,
            "safe_bytes": slot.safe, "failover": slot.failover, "invalid": slot.invalid,
        },
        "sinks": [_sink(s) for s in found.sinks], "problems": list(found.problems),
        "compared": [_round(r, "found", "repaired", "remaining", "unsettled", "stored") for r in found.compared],
        "batches": [_round(r, "next") for r in found.batches],
    }  # fmt: skip


def _round(one: Round, *said: str) -> dict[str, Any]:
    return {"table": one.table, "sink": one.sink, "rows": one.rows, "at": one.at.isoformat(), **{n: one.said.get(n) for n in said}}


def _sink(sink: Sink) -> dict[str, Any]:
    kept = sink.kept
    return {
        "name": kept.sink, "wanted": kept.wanted, "state": kept.state, "reason": kept.reason, "behind_bytes": sink.behind_bytes,
        "behind_rows": sink.behind_rows,
        "behind_seconds": kept.behind, "rows": kept.rows, "spilled_bytes": kept.spilled, "lsn": kept.stamp.lsn,
        "ordinal": kept.stamp.ordinal,
        "updated_at": kept.updated_at.isoformat() if kept.updated_at else None,
        "seeds": [{"table": s.source, "state": s.state, "rows": s.rows, "total": s.total} for s in sink.seeds],
    }  # fmt: skip
