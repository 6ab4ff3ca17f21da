"""Copies both ways begun: what both servers must have, a publication and a slot at each, the follower filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pgcharter.db import Connection
from pgcharter.errors import RefusedError, UnavailableError
from pgcharter.names import quote
from pgcharter.stream import beginning, slots, source
from pgcharter.stream.checkpoints import Checkpoints
from pgcharter.stream.mapper import Target
from pgcharter.stream.seeds import Advance
from pgcharter.stream.source import Table
from pgcharter.stream.twoway import Rule
from pgcharter.stream.twoway_arbiter import Arbiter
from pgcharter.stream.twoway_follower import Follower
from pgcharter.stream.twoway_link import SQL, Link, prepare, statements
from pgcharter.stream.twoway_rows import ACKS, VERDICTS, WholeRows
from pgcharter.stream.worker import Job


@dataclass(frozen=True)
class TwoWay:
    """Tables that are copied both ways."""

    name: str
    """Begins the names of slots, publications and origins: at most 50 characters."""
    here: str
    """Connection string of the side that decides."""
    there: str
    tables: tuple[str, ...]
    rule: Rule
    folder: Path
    strict: bool = False
    """Whether the rule must know for certain what was changed at both sides, for which the follower's old rows are needed."""
    heartbeat: float = 10.0
    out: Job = field(init=False)
    """From the deciding side to the follower."""
    back: Job = field(init=False)

    def __post_init__(self) -> None:
        for way, dsn, tables, origin in (
            ("out", self.here, (*self.tables, ACKS, VERDICTS), "any"), ("back", self.there, self.tables, "none"),
        ):  # fmt: skip
            name = f"{self.name}_{way}"
            job = Job(dsn, name, name, tables, (self.name,), self.folder / name, heartbeat=self.heartbeat, origin=origin)
            object.__setattr__(self, way, job)

    def make_out(self, sink: str) -> Target:
        """The follower as a sink."""
        return Target(sink, Follower(self.there, self.out.slot, self.back.slot), self._rows(self.out))

    def make_back(self, sink: str) -> Target:
        """The deciding side as a sink."""
        return Target(sink, Arbiter(self.here, self.back.slot, self.rule), self._rows(self.back))

    def _rows(self, job: Job) -> WholeRows:
        return WholeRows(job.tables, partial(source.open_source, job.dsn))


def begun(two: TwoWay) -> bool:
    """Whether both slots are there and the follower was filled."""
    for job in (two.back, two.out):
        with source.open_source(job.dsn) as conn:
            if slots.look(conn, job.slot) is None or any(s.state != "done" for s in Checkpoints(conn, job.slot).seeds()):
                return False
    return True


def forget(two: TwoWay) -> None:
    """Drop both slots and what is known of them, so that copying begins anew. Raises RefusedError while a worker runs."""
    for job, other in ((two.out, two.back), (two.back, two.out)):
        with source.open_source(job.dsn) as conn:
            found = slots.look(conn, job.slot)
            if found is not None and found.pid is not None:
                raise RefusedError(f"slot {job.slot} is read by process {found.pid}, so it is not made anew", hint="stop the worker first")
            _unmade(conn, job, other.slot)


def _unmade(conn: Connection, job: Job, origin: str) -> None:
    slots.drop(conn, job.slot)
    Checkpoints(conn, job.slot).forget()
    prepare(conn)
    conn.execute(SQL["forget"].encode(), [origin])


def begin(two: TwoWay, *, same: bool = False, jobs: int = 2, advance: Advance | None = None) -> None:
    """Make what is missing at both sides, and fill the follower; `same`: it has the same rows already. Goes on where it was interrupted.

    Raises UnavailableError for what a server lacks, RefusedError where tables do not fit.
    """
    with source.open_source(two.here) as here, source.open_source(two.there) as there:
        for conn, job in ((here, two.out), (there, two.back)):
            _server(conn, job)
            prepare(conn)
            _published(conn, job)
        _fit(two, here, there)
        _slot(there, two.back)
        there.execute(SQL["way"].encode(), {"origin": two.out.slot})  # what was committed there until now is not waited for
        if not same:
            _filled(two, here, there, jobs, advance)
        elif slots.look(here, two.out.slot) is None:
            _slot(here, two.out)


def _server(conn: Connection, job: Job) -> None:
    row = conn.execute("SELECT current_setting('track_commit_timestamp')::bool, current_database()").fetchone()
    if row is None or not row[0]:
        raise UnavailableError(
            f"the server of database {row[1] if row else ''} does not keep who committed a row and when (track_commit_timestamp is off),"
            " so rows that wait for a decision could not be told",
            hint="ALTER SYSTEM SET track_commit_timestamp = on; then restart the server",
        )
    Checkpoints(conn, job.slot)


def _published(conn: Connection, job: Job) -> None:
    if conn.execute("SELECT FROM pg_publication WHERE pubname = %s", [job.publication]).fetchone() is None:
        tables = ", ".join(_sql(name) for name in job.tables)
        conn.execute(f"CREATE PUBLICATION {quote(job.publication)} FOR TABLE {tables} WITH (publish_via_partition_root)".encode())
    slots.published(conn, job.publication, job.tables, source.tables(conn, job.publication))


def _sql(name: str) -> str:
    return name if '"' in name else ".".join(map(quote, name.split(".")))


def _tables(conn: Connection, job: Job) -> dict[str, Table]:
    return {t.sql: t for t in source.tables(conn, job.publication) if not t.sql.startswith("pgcharter_copies.")}


def _fit(two: TwoWay, here: Connection, there: Connection) -> None:
    """Both sides have the same columns; the follower says old rows where they are needed."""
    ours, theirs = _tables(here, two.out), _tables(there, two.back)
    for sql, table in ours.items():
        columns, others = ({(c.name, c.type) for c in t.relation.columns} for t in (table, theirs[sql]))
        if columns != others:
            differ = ", ".join(sorted(f"{n} {t}" for n, t in columns ^ others))
            raise RefusedError(f"{sql} has other columns there than here ({differ}), so rows cannot be copied both ways")
        if two.strict and theirs[sql].relation.identity != "full":
            raise RefusedError(
                f"the follower does not send the old rows of {sql}, so what was changed at both sides cannot be told from what was not",
                hint=f"ALTER TABLE {sql} REPLICA IDENTITY FULL at the follower",
            )


def _slot(conn: Connection, job: Job) -> None:
    """A slot from which everything later comes, and nothing that was there before."""
    beginning.begin(job, _nothing, later=True)
    checkpoints = Checkpoints(conn, job.slot)
    for seed in checkpoints.seeds():
        seed.state = "done"
        checkpoints.seeded(seed)


def _nothing(sink: str) -> Target:
    return Target(sink, Arbiter("", "", lambda here, _: here.values), WholeRows((), lambda: source.open_source("")))


def _filled(two: TwoWay, here: Connection, there: Connection, jobs: int, advance: Advance | None) -> None:
    """Fill the follower at the snapshot of the slot."""
    checkpoints = Checkpoints(here, two.out.slot)
    if slots.look(here, two.out.slot) is not None:
        if all(s.state == "done" for s in checkpoints.seeds()):
            return
        slots.drop(here, two.out.slot)  # it was interrupted
        checkpoints.forget()
    try:
        _emptied(two, there)
    except RefusedError:
        _unmade(there, two.back, two.out.slot)  # else it would bring the emptying
        raise
    done = beginning.begin(two.out, two.make_out, jobs=jobs, advance=advance)
    for why in done.failed.values():
        raise RefusedError(f"the follower could not be filled: {why}", hint="pgcharter sync init begins again")


def _emptied(two: TwoWay, there: Connection) -> None:
    """See that the follower's tables hold nothing but what an interrupted beginning has left, which goes, and what is on its way here."""
    link, shapes = Link(two.there, two.out.slot), WholeRows(two.tables, partial(source.open_source, two.there))
    for table in _tables(there, two.back).values():
        shapes.relation(table.relation)
    link.open()
    try:
        link.conn.execute(SQL["anew"].encode(), {"origin": link.origin})
        for by in statements(shapes.shapes).values():
            with link.conn.transaction():
                mine = "(SELECT v.roident <> 0 FROM pg_xact_commit_timestamp_origin(here.xmin) v)"
                link.conn.execute(f"DELETE FROM {by.to} AS here WHERE {mine}".encode())
                waits = "coalesce((SELECT v.timestamp > %s::timestamptz FROM pg_xact_commit_timestamp_origin(here.xmin) v), false)"
                if link.conn.execute(f"SELECT 1 FROM {by.to} AS here WHERE NOT {waits} LIMIT 1".encode(), [link.acked]).fetchone():
                    raise RefusedError(
                        f"{by.to} of the follower has rows already, and nothing says which side's are right",
                        hint="empty it there; or say same = true where both sides have the same rows, and then pgcharter sync reconcile",
                    )
    finally:
        link.close()
