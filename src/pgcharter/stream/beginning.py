"""Copies begun: the slot made, and at its snapshot the tables seeded; what is new in the charter is left to the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.stream import capture, source
from pgcharter.stream.capture import Capture
from pgcharter.stream.checkpoints import Checkpoints, Kept
from pgcharter.stream.mapper import Make, Target
from pgcharter.stream.model import Stamp
from pgcharter.stream.seeds import ROWS, Advance, Initial
from pgcharter.stream.slots import Snapshot
from pgcharter.stream.source import Table
from pgcharter.stream.worker import Job, alone


@dataclass(frozen=True)
class Beginning:
    """What `init` would do, or has done."""

    slot: bool
    """Whether the slot is made; else it is there."""
    seeds: Mapping[str, tuple[Table, ...]]
    """Tables that are seeded, by sink."""
    warnings: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    """Sinks that could not be seeded, and why. The worker goes on with them."""


def look(job: Job, make: Make, *, anew: bool = False) -> Beginning:
    """What is there to do. Raises what stands in the way."""
    with source.open_source(job.dsn) as conn:
        of = capture.of(job)
        warnings = tuple(of.ready(conn)) if anew or of.look(conn) is None else ()
        return _look(conn, job, of, {n: make(n) for n in job.sinks}, warnings, anew=anew)


def _look(
    conn: Connection, job: Job, of: Capture, targets: Mapping[str, Target], warnings: tuple[str, ...], *, anew: bool
) -> Beginning:  # fmt: skip
    tables = source.tables(conn, job.publication)
    of.complete(conn, tables)
    found = of.look(conn)
    if found is not None and not anew:
        of.usable(conn)
    if found is not None and anew and found.pid is not None:
        raise RefusedError(f"slot {job.slot} is read by process {found.pid}, so it is not made anew", hint="stop the worker first")
    known = set() if anew or found is None else {(s.sink, s.source) for s in Checkpoints(conn, job.slot).seeds()}
    wanted = {n: tuple(t for t in tables if not set(t.names).isdisjoint(target.mapper.tables)) for n, target in targets.items()}
    seeds = {n: tuple(t for t in all_ if (n, t.sql) not in known) for n, all_ in wanted.items()}
    return Beginning(anew or found is None, {n: some for n, some in seeds.items() if some}, warnings)


def begin(
    job: Job, make: Make, *, anew: bool = False, failover: bool = False, later: bool = False, jobs: int = 2, advance: Advance | None = None
) -> Beginning:
    """Make the slot and seed the sinks at its snapshot; `later` leaves seeding to the worker, beside the stream.

    Where the slot is there, sinks and tables that are new are left to the worker. `anew` drops the slot, and seeds everything again.
    """
    targets = {n: make(n) for n in job.sinks}
    with alone(job.folder), source.open_source(job.dsn) as conn:
        of = capture.of(job)
        warnings = tuple(of.ready(conn)) if anew or of.look(conn) is None else ()
        found = _look(conn, job, of, targets, warnings, anew=anew)
        checkpoints = Checkpoints(conn, job.slot)
        if not found.slot:
            checkpoints.begin(job.sinks)
            for name, tables in found.seeds.items():
                checkpoints.plant(name, [(t.sql, t.rows) for t in tables])
            return found
        of.drop(conn)
        checkpoints.forget()
        with of.begin(conn, failover=failover) as snapshot:
            began = snapshot.lsn if anew else 0
            checkpoints.begin(job.sinks)
            for name, tables in found.seeds.items():
                checkpoints.plant(name, [(t.sql, t.rows) for t in tables], began=began, anew=True)
            failed = {} if later else _seed(job, targets, found, checkpoints, snapshot, jobs, advance)
    return Beginning(True, found.seeds, warnings, {n: _said(e) for n, e in failed.items()})


def _seed(
    job: Job, targets: Mapping[str, Target], found: Beginning, checkpoints: Checkpoints, snapshot: Snapshot, jobs: int,
    advance: Advance | None,
) -> dict[str, Exception]:  # fmt: skip
    tables = list({t.sql: t for of in found.seeds.values() for t in of}.values())
    wanted: Sequence[tuple[Target, Sequence[Table]]] = [(targets[n], of) for n, of in found.seeds.items()]
    initial = Initial(job.dsn, snapshot.name, snapshot.lsn, jobs=jobs, rows=ROWS, advance=advance)
    failed = initial.run(wanted, tables, checkpoints)
    counted = {n: sum(s.rows for s in checkpoints.seeds() if s.sink == n) for n in found.seeds}
    checkpoints.save(Kept(n, state="running", stamp=Stamp(snapshot.lsn, 0), rows=counted[n]) for n in found.seeds if n not in failed)
    return failed


def _said(error: Exception) -> str:
    return error.message if isinstance(error, PgcharterError) else f"{type(error).__name__}: {error}"


def reset(conn: Connection, job: Job, target: Target, only: Sequence[str] = ()) -> tuple[str, ...]:
    """Have a sink's tables seeded anew beside the stream, all or some; gives back which. Of a sink that is lost always all.

    Rows that are gone in the source go at its end.
    """
    tables = [t for t in source.tables(conn, job.publication) if not set(t.names).isdisjoint(target.mapper.tables)]
    chosen = [t for t in tables if not only or not set(t.names).isdisjoint(only)]
    missing = set(only) - {n for t in tables for n in t.names}
    if missing:
        raise RefusedError(f"sink {target.name} has no copy of {', '.join(sorted(missing))}")
    checkpoints = Checkpoints(conn, job.slot)
    lost = checkpoints.begin([target.name])[target.name].state == "lost"
    chosen = tables if lost else chosen
    checkpoints.plant(target.name, [(t.sql, t.rows) for t in chosen], began=capture.of(job).now(conn), anew=True)
    if not only or lost:
        checkpoints.want(target.name, "reset")
    return tuple(t.sql for t in chosen)
